//! Layers and networks; knows nothing of what they are for.
