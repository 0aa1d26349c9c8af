"""Questions put to an index: search, label transfer, and the filling of its collections."""
