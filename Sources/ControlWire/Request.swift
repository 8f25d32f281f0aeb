package import JSONLines

/// A request as it came, its parameters not yet looked into.
package struct Request: Sendable, Equatable {
    /// The id's own bytes, for the reply to repeat; nil makes it a notification.
    package let id: [UInt8]?
    package let method: String
    package let params: JSONObject
    /// How many parameters came by position, which no method takes; nil where they came by name, or not at all.
    package var positional: Int?

    package static let nullID = Array("null".utf8)
}

/// What one line asks for.
package enum RequestLine: Sendable, Equatable {
    /// One request or one element of a batch.
    package enum Element: Sendable, Equatable {
        case request(Request)
        /// Not a request; the id is `null` where none can be told.
        case invalid(id: [UInt8], ControlFault)
    }

    case single(Element)
    case batch([Element])
    /// The line as a whole is answered with a fault and id `null`.
    case fault(ControlFault)

    /// Reads a line by JSON-RPC 2.0.
    package init(_ line: UnsafeRawBufferPointer, limits: ControlLimits = .standard) {
        do throws(JSONSyntaxError) {
            let json = try JSONReader.parse(line)
            guard let elements = json.arrayValue else {
                self = .single(try Self.element(json, in: line, at: 0))
                return
            }
            guard !elements.isEmpty else {
                self = .fault(.invalidRequest("the batch is empty"))
                return
            }
            guard elements.count <= limits.batchElements else {
                self = .fault(
                    .invalidRequest(
                        "the batch has \(elements.count) elements; want at most \(limits.batchElements)",
                        details: ["limit": .int(Int64(limits.batchElements))]))
                return
            }
            var read: [Element] = []
            var reader = JSONReader(line)
            _ = try reader.enterArray()
            for element in elements {
                let range = try reader.skipValue()
                read.append(try Self.element(element, in: line, at: range.lowerBound))
                _ = try reader.nextElement()
            }
            self = .batch(read)
        } catch {
            self = .fault(.parseError("this is not JSON: \(error.description)"))
        }
    }

    private static func element(
        _ json: JSON, in line: UnsafeRawBufferPointer, at start: Int
    ) throws(JSONSyntaxError) -> Element {
        guard let object = json.objectValue else {
            return .invalid(
                id: Request.nullID, .invalidRequest("a request is \(json.kind); want an object"))
        }
        var id: [UInt8]?
        if let value = object["id"] {
            switch value {
            case .string, .int, .double, .null:
                id = try rawID(in: line, at: start) ?? value.encoded
            case .bool, .array, .object:
                return .invalid(
                    id: Request.nullID,
                    .invalidRequest("id is \(value.kind); want a string, a number or null"))
            }
        }
        func invalid(_ message: String) -> Element {
            .invalid(id: id ?? Request.nullID, .invalidRequest(message))
        }
        guard object["jsonrpc"] == "2.0" else {
            let came = object["jsonrpc"].map { String($0.text.prefix(40)) } ?? "missing"
            return invalid("jsonrpc is \(came); want \"2.0\"")
        }
        guard let method = object["method"]?.stringValue else {
            return invalid("method is \(object["method"]?.kind ?? "missing"); want a string")
        }
        switch object["params"] {
        case nil:
            return .request(Request(id: id, method: method, params: JSONObject()))
        case .object(let params):
            return .request(Request(id: id, method: method, params: params))
        case .array(let values):
            // A request all the same: a notification is not answered, an unknown method is called that.
            return .request(
                Request(
                    id: id, method: method, params: JSONObject(), positional: values.count))
        case .some(let other):
            return invalid("params is \(other.kind); want an object")
        }
    }

    /// The bytes of the id as the client wrote them; nil where its name was written with escapes.
    private static func rawID(
        in line: UnsafeRawBufferPointer, at start: Int
    ) throws(JSONSyntaxError) -> [UInt8]? {
        var reader = JSONReader(line, at: start)
        guard try reader.enterObject() else { return nil }
        repeat {
            let name = try reader.rawMemberName()
            let value = try reader.skipValue()
            if line[name].elementsEqual("id".utf8) { return Array(line[value]) }
        } while try reader.nextMember()
        return nil
    }
}

/// The commonest request, recognised without decoding it: the status of one locker.
///
/// Anything unusual (another member, an escape, a byte beyond ASCII, a fraction as id) is left to ``RequestLine``, which
/// answers the same.
package struct StatusOfOne {
    package enum Locker {
        /// Where the address stands in the line.
        case address(Range<Int>)
        case id(Int)
    }

    /// Where the id stands in the line, quotes included.
    package let id: Range<Int>
    package let locker: Locker

    package init?(_ line: UnsafeRawBufferPointer) {
        guard line.allSatisfy({ $0 < 0x80 && $0 != UInt8(ascii: "\\") }) else { return nil }
        var found = Found()
        do throws(JSONSyntaxError) {
            guard try found.scan(line) else { return nil }
        } catch {
            return nil
        }
        guard found.hasVersion, found.hasMethod, let id = found.id, let locker = found.locker
        else { return nil }
        self.id = id
        self.locker = locker
    }

    private struct Found {
        var hasVersion = false
        var hasMethod = false
        var id: Range<Int>?
        var locker: Locker?

        /// False at the first thing that is out of the ordinary.
        mutating func scan(_ line: UnsafeRawBufferPointer) throws(JSONSyntaxError) -> Bool {
            var reader = JSONReader(line)
            guard try reader.enterObject() else { return false }
            repeat {
                let name = try reader.rawMemberName()
                switch name.count {
                case 7 where !hasVersion && StatusOfOne.equal(line, name, "jsonrpc"):
                    hasVersion = StatusOfOne.equal(line, try reader.skipValue(), "\"2.0\"")
                    guard hasVersion else { return false }
                case 2 where id == nil && StatusOfOne.equal(line, name, "id"):
                    let value = try reader.skipValue()
                    guard StatusOfOne.isPlainID(line, value) else { return false }
                    id = value
                case 6 where !hasMethod && StatusOfOne.equal(line, name, "method"):
                    hasMethod = StatusOfOne.equal(line, try reader.skipValue(), "\"status\"")
                    guard hasMethod else { return false }
                case 6 where locker == nil && StatusOfOne.equal(line, name, "params"):
                    locker = try StatusOfOne.onlyLocker(line, &reader)
                    guard locker != nil else { return false }
                default:
                    return false
                }
            } while try reader.nextMember()
            try reader.end()
            return true
        }
    }

    /// A string, or an integer that no reading can change.
    private static func isPlainID(_ line: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        line[range.lowerBound] == UInt8(ascii: "\"")
            || range.count <= 18 && line[range].allSatisfy { (0x30...0x39).contains($0) }
    }

    /// `{"lockers":[ONE]}`
    private static func onlyLocker(
        _ line: UnsafeRawBufferPointer, _ reader: inout JSONReader
    ) throws(JSONSyntaxError) -> Locker? {
        guard try reader.peek() == UInt8(ascii: "{"), try reader.enterObject(),
            equal(line, try reader.rawMemberName(), "lockers"),
            try reader.peek() == UInt8(ascii: "["), try reader.enterArray()
        else { return nil }
        let value = try reader.skipValue()
        guard try !reader.nextElement(), try !reader.nextMember() else { return nil }
        if line[value.lowerBound] == UInt8(ascii: "\"") {
            return .address(value.lowerBound + 1..<value.upperBound - 1)
        }
        guard value.count <= 18 else { return nil }
        var number = 0
        for byte in line[value] {
            guard (0x30...0x39).contains(byte) else { return nil }
            number = number * 10 + Int(byte - 0x30)
        }
        return .id(number)
    }

    private static func equal(
        _ line: UnsafeRawBufferPointer, _ range: Range<Int>, _ word: StaticString
    ) -> Bool {
        guard range.count == word.utf8CodeUnitCount else { return false }
        for index in 0..<range.count
        where line[range.lowerBound + index] != word.utf8Start[index] {
            return false
        }
        return true
    }
}
