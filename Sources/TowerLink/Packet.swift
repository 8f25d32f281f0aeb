package import CBORCodec

/// A message with its fields, by name.
package struct Packet: Equatable, Sendable {
    package let message: Dialect.Message
    package var fields: [Dialect.Field: CBOR]

    package init(_ message: Dialect.Message, _ fields: [Dialect.Field: CBOR] = [:]) {
        self.message = message
        self.fields = fields
    }

    package func encoded(_ dialect: Dialect) -> [UInt8] {
        var map = Dictionary(
            uniqueKeysWithValues: fields.map { (dialect.number(of: $0.key), $0.value) })
        map[dialect.number(of: .type)] = .int(dialect.number(of: message))
        return CBOR.map(map).encoded
    }

    /// Reads one. Fields whose numbers it does not know it leaves out: a newer tower may say more.
    package init(_ bytes: [UInt8], _ dialect: Dialect) throws(TowerLinkError) {
        let map = try Self.map(bytes)
        guard let number = map[dialect.number(of: .type)]?.intValue else {
            throw .malformed("a packet without a type")
        }
        guard let message = dialect.message(number) else {
            throw .malformed("a packet of type \(number), which is unknown")
        }
        self.message = message
        fields = [:]
        for (number, value) in map {
            if let field = dialect.field(number), field != .type { fields[field] = value }
        }
    }

    static func map(_ bytes: [UInt8]) throws(TowerLinkError) -> [Int64: CBOR] {
        do {
            guard let map = try CBORReader.parse(bytes).mapValue else {
                throw TowerLinkError.malformed("a packet that is no map")
            }
            return map
        } catch let error as CBORSyntaxError {
            throw .malformed("a packet: \(error)")
        } catch let error as TowerLinkError {
            throw error
        } catch {
            throw .malformed("a packet: \(error)")
        }
    }

    // MARK: Fields that have to be there

    package func int(_ field: Dialect.Field) throws(TowerLinkError) -> Int64 {
        guard let value = fields[field]?.intValue else { throw missing(field, "an integer") }
        return value
    }

    /// - Parameter count: how many bytes there have to be; nil where that is open.
    package func bytes(
        _ field: Dialect.Field, count: Int? = nil
    ) throws(TowerLinkError) -> [UInt8] {
        guard let value = fields[field]?.bytesValue, count == nil || value.count == count else {
            throw missing(field, count.map { "\($0) bytes" } ?? "bytes")
        }
        return value
    }

    private func missing(_ field: Dialect.Field, _ want: String) -> TowerLinkError {
        .malformed("\(message.rawValue): want \(field.rawValue), \(want)")
    }
}
