"""Against fooling oneself: leaks in the data, the luck of the best of many, winners evaluated and trained once more."""
