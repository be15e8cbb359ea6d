"""A log whose structure is known; nobody writes into its folder."""

from pathlib import Path

import pytest

from studies.made_log import circles


@pytest.fixture(scope="session")
def log_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return circles(tmp_path_factory.mktemp("circles"))
