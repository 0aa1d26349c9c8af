"""The one door: any input file to items."""
