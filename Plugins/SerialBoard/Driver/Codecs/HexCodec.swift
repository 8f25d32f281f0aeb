/// Boards whose orders begin with `8A` and questions with `80`, sold without a name for 8 to 50 locks: `CMD BOARD LOCK FUNC XOR`.
///
/// Source: the published protocol sheet of the 24-channel board and working code of people who have one. Lock 0 means all locks,
/// which is never sent. The answer to an order can be the order once more, byte for byte.
package struct HexCodec: Codec {
    /// Which of a board's state bytes comes first: people have seen both.
    package enum StateOrder: String, Sendable, CaseIterable {
        case lowestFirst = "lowest-first"
        case highestFirst = "highest-first"
    }

    package static let addresses = 1...31
    package static let channels = 1...50
    package static let canReadAll = true

    private static let unlock: UInt8 = 0x8A
    private static let query: UInt8 = 0x80
    private static let unlockFunction: UInt8 = 0x11
    private static let queryFunction: UInt8 = 0x33
    /// What the feedback of one lock can be: contact closed, contact open.
    private static let (closed, open): (UInt8, UInt8) = (0x11, 0x00)
    private static let shortLength = 5
    /// State bytes in an answer about all locks: an 8-channel board sends 3, the largest has 7. One alone could be our own
    /// question, heard back.
    private static let stateBytes = 2...7

    package let address: UInt8
    package let order: StateOrder

    package init(address: UInt8, order: StateOrder = .lowestFirst) {
        self.address = address
        self.order = order
    }

    package func request(_ question: Question) -> [UInt8] {
        let frame =
            switch question {
            case .open(let channel):
                [Self.unlock, address, UInt8(clamping: channel), Self.unlockFunction]
            case .one(let channel):
                [Self.query, address, UInt8(clamping: channel), Self.queryFunction]
            case .all: [Self.query, address, 0, Self.queryFunction]
            }
        return frame + [xor(frame)]
    }

    package func find(_ question: Question, in bytes: [UInt8]) -> Finding {
        first(in: bytes) { bytes in
            switch question {
            case .open(let channel):
                short(Self.unlock, channel, bytes) == nil ? .nothing : .answer(.taken)
            case .one(let channel):
                short(Self.query, channel, bytes).map { .answer(.levels([channel: $0])) }
                    ?? .nothing
            case .all: all(bytes)
            }
        }
    }

    /// The feedback in a frame of five bytes; nil where it is none, or not about this lock.
    private func short(_ command: UInt8, _ channel: Int, _ bytes: ArraySlice<UInt8>) -> Bool? {
        let frame = Array(bytes.prefix(Self.shortLength))
        guard frame.count == Self.shortLength, frame[0] == command, frame[1] == address,
            Int(frame[2]) == channel, frame[3] == Self.closed || frame[3] == Self.open,
            frame[4] == xor(frame.dropLast())
        else { return nil }
        return frame[3] == Self.closed
    }

    /// How many state bytes come does not depend on the locks that a board has, so only silence tells their end.
    private func all(_ bytes: ArraySlice<UInt8>) -> Finding {
        guard bytes.prefix(2).elementsEqual([Self.query, address]) else { return .nothing }
        for count in Self.stateBytes.reversed() {
            let frame = Array(bytes.prefix(count + 4))
            guard frame.count == count + 4, frame[count + 2] == Self.queryFunction,
                frame[count + 3] == xor(frame.dropLast())
            else { continue }
            let states = frame[2..<count + 2]
            let rising = order == .lowestFirst ? Array(states) : states.reversed()
            let all = rising.enumerated().flatMap {
                levels(in: $0.element, from: $0.offset * 8 + 1)
            }
            let answer = Answer.levels(Dictionary(uniqueKeysWithValues: all))
            return count == Self.stateBytes.upperBound ? .answer(answer) : .perhaps(answer)
        }
        return .nothing
    }
}
