"""Linear algebra on sparse rows: singular vectors and multinomial regression."""
