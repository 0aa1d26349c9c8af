"""Vector stores: embedded Qdrant parts, a Qdrant server, exact scans."""
