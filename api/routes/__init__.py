"""One resource each; every route is a thin shell over `tsdb`."""
