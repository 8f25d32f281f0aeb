package import LockerKit

/// Posts beats as JSON to an HTTP or HTTPS upstream.
package struct HTTPUplink: Uplink {
    /// As in `module.toml`.
    package static let name = "http"
    /// For people, and in `User-Agent`.
    package static let version = "0.1.0"

    private let courier: Courier
    private let transport: HTTPTransport

    /// Makes the uplink from the keys that `module.toml` describes.
    package init(options: Options, site: String, context: UplinkContext) throws(LockerError) {
        let settings = try UplinkSettings(options)
        transport = HTTPTransport(settings)
        courier = Courier(
            settings: settings, transport: transport, files: FileReader(logger: context.logger),
            clock: context.clock, logger: context.logger)
    }

    /// Posts the beat until the upstream takes it, refuses it, or time is up.
    package func deliver(_ beat: String) async throws(LockerError) {
        let members = try Options(json: beat)
        let key = "\(try members.string("bootId"))-\(try members.integer("seq"))"
        guard key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw LockerError(.invalidRequest, "bootId holds a byte that no header can carry")
        }
        try await courier.deliver(beat, key: key)
    }

    /// Closes every connection.
    package func stop() async {
        await transport.close()
    }
}
