"""Parts and folds: stratified, disjoint in patients, the same for the same seed."""
