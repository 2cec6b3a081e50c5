//! Audio for calls: codecs, files, resampling, pacing, feature extraction. Synchronous.
