extension Dialect {
    /// The project's own numbers, version 1 (`docs/tower-link.md`, "Numbers"). Numbers below 24 take one byte.
    package static let own = own(
        messages: [
            .acknowledge: 0, .requestSession: 1, .grantSession: 2, .sessionError: 3,
            .terminateSession: 4, .error: 5, .installKey: 6, .sunsetKey: 7, .revokeKey: 8,
            .requestSyncStatus: 9, .syncStatus: 10, .syncPull: 11, .syncEvents: 12,
            .syncPush: 13, .markSeenEvents: 14, .resetEventCounter: 15, .resetCommandCounter: 16,
            .addClientEvent: 17, .findAvailableLockers: 18, .findLockersWithToken: 19,
            .foundLockers: 20, .openLockerWithToken: 21, .openAvailableLocker: 22,
            .lockerOpened: 23, .reopenLocker: 24, .checkLockerDoor: 25, .lockerDoorState: 26,
            .checkAllLockerDoors: 27, .allLockerDoorStates: 28, .revertLockerState: 29,
            .setKeypadCode: 30, .tapLocker: 31, .getDeviceInfo: 32, .deviceInfo: 33,
            .readDeviceStatus: 34, .deviceStatus: 35, .fireLock: 36, .setClock: 37,
            .readEvents: 38, .eventsRead: 39,
            .requestSessionPayload: 64, .grantSessionPayload: 65,
            .openLockerPayload: 66, .syncEventsPayload: 67, .syncCommandsPayload: 68,
        ],
        fields: [
            .type: 0, .sessionID: 1, .sequence: 2, .wrapper: 3, .tag: 4, .payload: 5,
            .payloadAuth: 6, .timestamp: 7, .expires: 8, .towerID: 9, .lockerID: 10,
            .errorCode: 11, .errorMessage: 12, .keyID: 13, .keyRotation: 14, .tokenID: 15,
            .lockerType: 16, .lockerToken: 17, .clientInfo: 18, .doorOpen: 19, .doorsOpen: 20,
            .version: 21, .requestNonce: 22, .grantNonce: 23, .sessionKey: 24, .sessionSeed: 25,
            .permissions: 26, .clientID: 27, .lockerTypeMap: 28, .matchAvailable: 29,
            .matchToken: 30, .lockerAvailable: 31, .keypadCode: 32, .keypadCodePersists: 33,
            .tapInterval: 34, .tapCount: 35, .syncEventStart: 36, .syncEventCount: 37,
            .syncCommandStart: 38, .syncCommandCount: 39, .syncBatch: 40, .openReason: 41,
            .towerName: 42, .firmwareVersion: 43, .clockTime: 44, .temperature: 45,
            .batteryMillivolts: 46, .batteryChange: 47, .towerDisabled: 48, .keyExpires: 49,
            .keyData: 50, .eventKind: 51, .eventTime: 52, .eventID: 53, .events: 54,
        ],
        codes: [
            .unknown: 1, .messageUnknown: 16, .messageItemMissing: 17, .messageItemType: 18,
            .messageItemRange: 19, .messageExpired: 20, .messageInvalid: 21,
            .messageReplayed: 22, .versionUnknown: 23, .authenticationInvalid: 32,
            .noSession: 33, .keyInvalid: 34, .permissionMissing: 35, .sessionUnknown: 36,
            .towerWrong: 37, .signatureInvalid: 38, .tokenUsed: 39, .port: 48, .memory: 49,
            .temperatureTooHigh: 50, .temperatureTooLow: 51, .batteryCritical: 52,
            .lockerNotFound: 64, .nothingOpenedYet: 65, .lockersBusy: 66, .syncBusy: 67,
            .towerDisabled: 68,
        ],
        events: [
            .boot: 0, .lockerAccess: 1, .forcedDoor: 2, .wrongDoor: 3, .battery: 4,
            .temperature: 5, .client: 6, .keyUpdate: 7, .error: 8, .doorClosed: 9,
        ])

    private static func own(
        messages: [Message: Int64], fields: [Field: Int64], codes: [Code: Int64],
        events: [EventKind: Int64]
    ) -> Dialect {
        guard
            let table = Dialect(messages: messages, fields: fields, codes: codes, events: events)
        else {
            preconditionFailure("a name without a number of its own in the table above")
        }
        return table
    }
}
