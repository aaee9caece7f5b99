"""Problems that can be launched by bare name: diabetes, fashion, digits."""
