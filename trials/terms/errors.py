"""What a caller of trials/ may catch.

TrialsError
├── ProblemError         the user's problem file cannot be used as it stands
│   ├── WeightsChanged   what model() reads is not what it was when the study was launched
│   └── SourceNotListed  a file or module is no part of the source that may run here
├── ConfigurationError   an optimizer or one of its arguments cannot be what was asked for
└── SnapshotError        the bytes are no state of this training
DeviceLost               the GPU is gone: nobody's mistake, and the trial can go on elsewhere

Each message is one line: what must hold, what came, what to do.
"""


class TrialsError(Exception):
    """Base of everything that trials/ raises on purpose."""


class ProblemError(TrialsError):
    """The problem file, its model or its data cannot be used as they stand."""


class WeightsChanged(ProblemError):
    """The model begins otherwise than the study's: no trial of it may be trained here."""


class SourceNotListed(ProblemError, ImportError):
    """Only listed sources may run here, and this is none; to whoever imports it, it is not there."""


class ConfigurationError(TrialsError):
    """An optimizer configuration would be refused by Keras, or silently train nonsense."""


class DeviceLost(Exception):
    """The device of this process cannot be used any more; another process continues the trial."""


class SnapshotError(TrialsError):
    """A snapshot does not fit the model and the optimizer it is restored into."""
