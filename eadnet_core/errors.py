"""The errors a user can meet: each says what is wrong, where, and what to do about it."""


class EADNetError(Exception):
    """Base of every error this package raises on bad input; its text is meant to be shown to the user."""


class BadInput(EADNetError, ValueError):
    """A value, file or option that cannot be used: an unreadable picture, empty audio, a scale out of range."""


class FaceNotFound(EADNetError):
    """No usable face in a picture or frame."""


class CheckpointError(EADNetError):
    """A weight file that is missing, damaged, or belongs to another network."""


class MediaError(EADNetError):
    """Reading or writing sound or video failed: the encoder ended early, the disk is full, the folder is read-only."""


class Cancelled(EADNetError):
    """The caller's cancel callback asked to stop; everything finished before it is kept."""
