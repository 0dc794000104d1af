"""What is wrong with a set of images: copies, leaks, giveaways, names burned in."""
