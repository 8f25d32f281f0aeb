/// A function that reads levels.
///
/// Levels are numbered in *points*: for coils and inputs the address, for registers sixteen to each, lowest bit first.
package enum ReadFunction: UInt8, Sendable, CaseIterable {
    case coils = 1
    case discreteInputs = 2
    case holdingRegisters = 3
    case inputRegisters = 4

    init?(word: String) {
        guard let found = Self.allCases.first(where: { $0.word == word }) else { return nil }
        self = found
    }

    /// The name in board profiles.
    var word: String {
        switch self {
        case .coils: "coils"
        case .discreteInputs: "discrete-inputs"
        case .holdingRegisters: "holding-registers"
        case .inputRegisters: "input-registers"
        }
    }

    var isOfRegisters: Bool { self == .holdingRegisters || self == .inputRegisters }

    var pointsPerAddress: Int { isOfRegisters ? 16 : 1 }

    var mostPerRead: Int { isOfRegisters ? Limits.registersPerRead : Limits.bitsPerRead }
}

/// One read of neighbouring levels.
package struct ReadRequest: Sendable, Equatable {
    package let function: ReadFunction
    /// Address of the first bit or register.
    package let address: Int
    /// How many bits or registers.
    package let count: Int

    package init(function: ReadFunction, address: Int, count: Int) {
        self.function = function
        self.address = address
        self.count = count
    }

    /// The smallest read that covers all the points; nil without points, or where one read cannot cover them.
    package init?(_ function: ReadFunction, covering points: [Int]) {
        guard let lowest = points.min(), let highest = points.max(), lowest >= 0 else { return nil }
        self.function = function
        address = lowest / function.pointsPerAddress
        count = highest / function.pointsPerAddress - address + 1
        guard address + count - 1 <= Limits.address.upperBound, count <= function.mostPerRead else {
            return nil
        }
    }

    /// The level of a point in the answer: one value for each bit or register that was asked for.
    package func level(of point: Int, in values: [UInt16]) -> Bool? {
        let index = point / function.pointsPerAddress - address
        guard values.indices.contains(index) else { return nil }
        return values[index] >> UInt16(point % function.pointsPerAddress) & 1 == 1
    }

    /// What was read at an address: a register, or a bit as 0 or 1.
    package func value(at address: Int, in values: [UInt16]) -> UInt16? {
        let index = address - self.address
        return values.indices.contains(index) ? values[index] : nil
    }
}

/// What a board answered to a read.
package enum Finding: Sendable, Equatable {
    /// One value for each bit or register that was asked for.
    case levels([UInt16])
    /// The board refused it with this exception code.
    case exception(UInt8)
    /// Anything else.
    case unusable
}

extension ReadRequest {
    /// Unit and request, without what the transport adds.
    package func bytes(for unit: UInt8) -> [UInt8] {
        [unit, function.rawValue]
            + [address, count].flatMap { [UInt8($0 >> 8 & 0xFF), UInt8($0 & 0xFF)] }
    }

    /// What a whole reply frame says: unit, function and length have to be those that were asked for.
    package func finding(in frame: [UInt8], _ framing: Framing, unit: UInt8) -> Finding {
        guard let content = framing.content(of: frame), content[0] == unit else {
            return .unusable
        }
        if content.count == 3, content[1] == function.rawValue | 0x80 {
            return .exception(content[2])
        }
        let size = function.isOfRegisters ? 2 * count : (count + 7) / 8
        let data = content.dropFirst(3)
        guard content[1] == function.rawValue, Int(content[2]) == size, data.count == size else {
            return .unusable
        }
        return .levels(
            (0..<count).map { index in
                guard function.isOfRegisters else {
                    return UInt16(data[3 + index / 8] >> UInt8(index % 8) & 1)
                }
                return UInt16(data[3 + 2 * index]) << 8 | UInt16(data[4 + 2 * index])
            })
    }
}

/// A function that writes one value.
package enum WriteFunction: UInt8, Sendable, CaseIterable {
    case coil = 5
    case register = 6

    /// The name in board profiles.
    var word: String { self == .coil ? "coil" : "register" }

    /// The function that tells what was written.
    var readBack: ReadFunction { self == .coil ? .coils : .holdingRegisters }
}

/// How a board repeats an order that it has taken.
package enum Echo: String, Sendable, CaseIterable {
    /// Word for word, as the specification has it.
    case exact
    /// The unit, the function and the address are the order's; the value may be another one.
    case address
}

/// An order to one coil: function 5, or function 6 where the board's coils are behind registers.
package struct CoilOrder: Sendable, Equatable {
    package let unit: UInt8
    package let function: WriteFunction
    package let address: UInt16
    package let value: UInt16

    package init(
        unit: UInt8, function: WriteFunction = .coil, address: UInt16, value: UInt16
    ) {
        self.unit = unit
        self.function = function
        self.address = address
        self.value = value
    }

    /// Unit and request, without what the transport adds.
    package var bytes: [UInt8] {
        [
            unit, function.rawValue, UInt8(address >> 8), UInt8(address & 0xFF), UInt8(value >> 8),
            UInt8(value & 0xFF),
        ]
    }
}

/// What a board answered to an order.
package enum Verdict: Sendable, Equatable {
    /// The board repeated the order as its profile says.
    case echoed
    /// The board refused it with this exception code.
    case exception(UInt8)
    /// Anything else; the text says what came.
    case unusable(String)
}

/// What a transport puts around a request.
package enum Framing: Sendable {
    case tcp, rtu

    /// Bytes before the unit.
    private static let header = 6
    /// Bytes of the checksum, which libmodbus has verified.
    private static let checksum = 2

    /// Unit and reply of a whole frame, or nil where the frame is none of ours.
    ///
    /// libmodbus gives every raw request the transaction number 0 and compares nothing in its answer.
    package func content(of frame: [UInt8]) -> [UInt8]? {
        switch self {
        case .tcp:
            guard frame.count > Self.header + 2, frame[..<4] == [0, 0, 0, 0],
                Int(frame[4]) << 8 | Int(frame[5]) == frame.count - Self.header
            else { return nil }
            return Array(frame[Self.header...])
        case .rtu:
            guard frame.count > Self.checksum + 2 else { return nil }
            return Array(frame.dropLast(Self.checksum))
        }
    }
}

extension CoilOrder {
    /// Compares a whole reply frame with the order: unit, function, address and, unless `echo` says otherwise, value.
    package func verdict(
        on frame: [UInt8], _ framing: Framing, _ echo: Echo = .exact
    ) -> Verdict {
        guard let content = framing.content(of: frame) else {
            return .unusable("a frame that does not belong to it (\(hex(frame)))")
        }
        if content == bytes { return .echoed }
        if echo == .address, content.count == bytes.count, content[..<4] == bytes[..<4] {
            return .echoed
        }
        if content.count == 3, content[0] == unit, content[1] == function.rawValue | 0x80 {
            return .exception(content[2])
        }
        return .unusable("\(hex(content)) instead of \(hex(bytes))")
    }
}

/// Bytes as people compare them.
package func hex(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0\(digits)" : digits
    }.joined(separator: " ")
}
