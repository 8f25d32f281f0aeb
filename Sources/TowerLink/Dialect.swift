/// The numbers that a kind of tower uses for messages, fields and errors: the one place that knows them.
///
/// Everything else speaks of names, so that towers with other numbers are another table (`docs/tower-link.md`).
package struct Dialect: Sendable, Equatable {
    /// What a packet is, or a payload inside one.
    package enum Message: String, Sendable, CaseIterable {
        case acknowledge
        case requestSession
        case grantSession
        case sessionError
        case terminateSession
        case error
        case installKey
        case sunsetKey
        case revokeKey
        case requestSyncStatus
        case syncStatus
        case syncPull
        case syncEvents
        case syncPush
        case markSeenEvents
        case resetEventCounter
        case resetCommandCounter
        case addClientEvent
        case findAvailableLockers
        case findLockersWithToken
        case foundLockers
        case openLockerWithToken
        case openAvailableLocker
        case lockerOpened
        case reopenLocker
        case checkLockerDoor
        case lockerDoorState
        case checkAllLockerDoors
        case allLockerDoorStates
        case revertLockerState
        case setKeypadCode
        case tapLocker
        case getDeviceInfo
        case deviceInfo
        case readDeviceStatus
        case deviceStatus
        case fireLock
        case setClock
        case readEvents
        case eventsRead
        case requestSessionPayload
        case grantSessionPayload
        case openLockerPayload
        case syncEventsPayload
        case syncCommandsPayload
    }

    /// A part of a packet.
    package enum Field: String, Sendable, CaseIterable {
        case type
        case sessionID
        case sequence
        case wrapper
        case tag
        case payload
        case payloadAuth
        case timestamp
        case expires
        case towerID
        case lockerID
        case errorCode
        case errorMessage
        case keyID
        case keyRotation
        case tokenID
        case lockerType
        case lockerToken
        case clientInfo
        case doorOpen
        case doorsOpen
        case version
        case requestNonce
        case grantNonce
        case sessionKey
        case sessionSeed
        case permissions
        case clientID
        case lockerTypeMap
        case matchAvailable
        case matchToken
        case lockerAvailable
        case keypadCode
        case keypadCodePersists
        case tapInterval
        case tapCount
        case syncEventStart
        case syncEventCount
        case syncCommandStart
        case syncCommandCount
        case syncBatch
        case openReason
        case towerName
        case firmwareVersion
        case clockTime
        case temperature
        case batteryMillivolts
        case batteryChange
        case towerDisabled
        case keyExpires
        case keyData
        case eventKind
        case eventTime
        case eventID
        case events
    }

    /// Why a tower refuses.
    package enum Code: String, Sendable, CaseIterable {
        case unknown
        case messageUnknown
        case messageItemMissing
        case messageItemType
        case messageItemRange
        case messageExpired
        case messageInvalid
        case messageReplayed
        case versionUnknown
        case authenticationInvalid
        case noSession
        case keyInvalid
        case permissionMissing
        case sessionUnknown
        case towerWrong
        case signatureInvalid
        case tokenUsed
        case port
        case memory
        case temperatureTooHigh
        case temperatureTooLow
        case batteryCritical
        case lockerNotFound
        case nothingOpenedYet
        case lockersBusy
        case syncBusy
        case towerDisabled
    }

    /// What an entry of a tower's log is about.
    package enum EventKind: String, Sendable, CaseIterable {
        case boot
        case lockerAccess
        case forcedDoor
        case wrongDoor
        case battery
        case temperature
        case client
        case keyUpdate
        case error
        case doorClosed
    }

    private let messages: [Message: Int64]
    private let fields: [Field: Int64]
    private let codes: [Code: Int64]
    private let messageNames: [Int64: Message]
    private let fieldNames: [Int64: Field]
    private let codeNames: [Int64: Code]
    private let eventNames: [Int64: EventKind]

    /// Nil where a name has no number, or two have the same.
    package init?(
        messages: [Message: Int64], fields: [Field: Int64], codes: [Code: Int64],
        events: [EventKind: Int64]
    ) {
        func names<Name>(_ numbers: [Name: Int64]) -> [Int64: Name] {
            Dictionary(numbers.map { ($0.value, $0.key) }, uniquingKeysWith: { first, _ in first })
        }
        (messageNames, fieldNames, codeNames) = (names(messages), names(fields), names(codes))
        eventNames = names(events)
        guard eventNames.count == EventKind.allCases.count,
            messageNames.count == Message.allCases.count,
            fieldNames.count == Field.allCases.count, codeNames.count == Code.allCases.count
        else { return nil }
        (self.messages, self.fields, self.codes) = (messages, fields, codes)
    }

    /// Every name has a number, see the initializer.
    package func number(of message: Message) -> Int64 { messages[message] ?? -1 }
    package func number(of field: Field) -> Int64 { fields[field] ?? -1 }
    package func number(of code: Code) -> Int64 { codes[code] ?? -1 }

    /// Nil where no message has this number.
    package func message(_ number: Int64) -> Message? { messageNames[number] }
    package func field(_ number: Int64) -> Field? { fieldNames[number] }
    package func code(_ number: Int64) -> Code? { codeNames[number] }
    package func event(_ number: Int64) -> EventKind? { eventNames[number] }
}
