//! Sources of data, invertible codecs, caches and batches.
