"""The public functions beside `Index`."""
