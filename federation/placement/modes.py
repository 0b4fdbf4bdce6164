"""Numbers that the compiled loops know policies by. Without numba, which takes a second to import."""

FGD, RANDOM, DOT_PRODUCT, CLUSTERING, GPU_PACKING, BEST_FIT, SPREAD, PACKING = range(8)  # how nodes are scored
TIGHTEST, EMPTIEST, ANY, LEAST_WASTE = range(4)  # which device takes a share, where several could
NO_SITES, ROUND_ROBIN, LEAST_LOADED, WEIGHTED, HASH = range(5)  # what is added for the site

HOT = 0.8  # the load of a site above which shedding begins
STEP = 1e6  # one point of a score; what decides between equal scores stays below
