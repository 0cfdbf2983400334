"""The MONAI Label app: `monailabel start_server --app apps/salt --studies DIR`."""

# MONAI Label takes the class whose direct base is MONAILabelApp: it must be imported, not subclassed.
from salt_monailabel.serving.app import SaltApp

__all__ = ["SaltApp"]
