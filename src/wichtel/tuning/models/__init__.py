"""What searchers compute with: configurations as vectors, densities, Gaussian processes. Pure, on numpy and scipy; knows no searcher."""
