"""Class heads: regressions on several views of a cell, fitted, stacked and calibrated."""
