"""What the SALTVessels module does; nothing here imports a Python package that 3D Slicer does not bring."""
