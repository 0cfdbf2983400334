"""MONAI Label's infer tasks: what a request asks for, and how it is answered."""
