"""The public functions beside `Index`: tokenise, embed, build a universe, read fragments, train."""
