"""How far an answer can be trusted: confidence, label sets, the unknown, checks of the query."""
