"""Settings from the environment and `.env`; the only package that reads either.

A value that would make the service unsafe is refused here, before anything starts, with a sentence that says what to
do.
"""

from backend.app.config.database import PROJECT_ROOT, Cluster, DatabaseSettings, load
from backend.app.config.service import Prepare, Settings

__all__ = ["PROJECT_ROOT", "Cluster", "DatabaseSettings", "Prepare", "Settings", "load"]
