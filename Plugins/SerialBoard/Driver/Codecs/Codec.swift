package import BusKit

/// What can be asked of one board. Channels count from 1, as they are printed on boards.
///
/// This is the whole list: no frame leaves that energises a coil without end, or that opens several locks at once.
package enum Question: Sendable, Equatable {
    /// The order to open one lock.
    case open(channel: Int)
    /// The feedback of all locks.
    case all
    /// The feedback of one lock.
    case one(channel: Int)

    package var isOrder: Bool {
        if case .open = self { true } else { false }
    }
}

/// What a board answered.
package enum Answer: Sendable, Equatable {
    /// The order was taken.
    case taken
    /// The order was not carried out, or the board says so.
    case refused(Refusal)
    /// The feedback of locks by their channel: whether the contact is closed, or the bit set. What that says about a door is for
    /// the board profile to know.
    case levels([Int: Bool])
}

/// What is to be made of the bytes that have come so far.
package enum Finding: Sendable, Equatable {
    /// No answer yet.
    case nothing
    case answer(Answer)
    /// An answer, unless more of it is still coming.
    case perhaps(Answer)
}

/// The language of one family of boards: bytes only, no handle and no clock.
package protocol Codec: Sendable {
    /// The numbers a board can have.
    static var addresses: ClosedRange<Int> { get }
    /// The channels a board can have.
    static var channels: ClosedRange<Int> { get }
    /// Whether all locks can be asked for in one question.
    static var canReadAll: Bool { get }

    /// The board's number.
    var address: UInt8 { get }

    func request(_ question: Question) -> [UInt8]

    /// Looks for the answer to `question`, past noise and past frames that are none. A frame with a wrong checksum, or one of
    /// another board or about another lock, is none.
    func find(_ question: Question, in bytes: [UInt8]) -> Finding
}

extension Codec {
    /// The first answer that begins at any of the bytes.
    func first(in bytes: [UInt8], _ answer: (ArraySlice<UInt8>) -> Finding) -> Finding {
        for start in bytes.indices {
            let finding = answer(bytes[start...])
            if finding != .nothing { return finding }
        }
        return .nothing
    }
}

/// What the low eight bits of a sum are, the checksum of some boards.
func sum(_ bytes: some Sequence<UInt8>) -> UInt8 { bytes.reduce(0, &+) }

/// What remains of all bytes under exclusive or, the checksum of other boards.
func xor(_ bytes: some Sequence<UInt8>) -> UInt8 { bytes.reduce(0, ^) }

/// The levels of up to eight channels in a byte, lowest bit first, from `first` on.
func levels(in byte: UInt8, from first: Int) -> [(Int, Bool)] {
    (0..<8).map { (first + $0, byte >> UInt8($0) & 1 == 1) }
}
