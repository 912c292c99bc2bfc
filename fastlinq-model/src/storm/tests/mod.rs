//! Bring-ups of the storm firmware alone, on a fabric of vectors.
