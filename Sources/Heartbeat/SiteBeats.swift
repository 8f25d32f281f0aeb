import LockerCore

extension Site: BeatSource {}
