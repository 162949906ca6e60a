//! Objectives, optimiser, EMA, trainer and run folder.
