import AsyncHTTPClient
import LockerKit
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Posts over the network. The only file that knows the HTTP client.
actor HTTPTransport: Transport {
    /// Time for the rest of an answer whose status is already here; nothing is decided by its body.
    private static let bodyLimit: Duration = .seconds(2)
    /// One thread is plenty for one request at a time.
    private static let eventLoops = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    private let settings: UplinkSettings
    private var client: HTTPClient?

    init(_ settings: UplinkSettings) {
        self.settings = settings
    }

    func post(
        _ beat: String, headers: [(name: String, value: String)], timeout: Duration
    ) async throws(LockerError) -> Answer {
        let client = try await openClient()
        var request = HTTPClientRequest(url: settings.endpoint.url)
        request.method = .POST
        for header in headers { request.headers.add(name: header.name, value: header.value) }
        request.body = .bytes(ByteBuffer(string: beat))
        do {
            let response = try await client.execute(request, deadline: .now() + .init(timeout))
            var answer = Answer(status: Int(response.status.code))
            answer.retryAfter = response.headers.first(name: "Retry-After")
            answer.body = await Self.beginning(of: response.body)
            return answer
        } catch {
            throw problem(error, timeout: timeout)
        }
    }

    /// Closes every connection. A transport is of no use after that.
    func close() async {
        let client = client
        self.client = nil
        try? await client?.shutdown()
    }

    private func openClient() async throws(LockerError) -> HTTPClient {
        if let client { return client }
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let file = settings.caFile { tls.trustRoots = try await Self.certificates(in: file) }
        // Another call may have come this far meanwhile.
        if let client { return client }
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: .init(connect: .init(settings.connectTimeout)), decompression: .disabled)
        configuration.httpVersion = .http1Only
        // The courier decides what is tried again, and when.
        configuration.connectionPool.retryConnectionEstablishment = false
        let client = HTTPClient(
            eventLoopGroupProvider: .shared(Self.eventLoops), configuration: configuration)
        self.client = client
        return client
    }

    private static func certificates(
        in file: String
    ) async throws(LockerError) -> NIOSSLTrustRoots {
        do {
            let certificates = try await NIOThreadPool.singleton.runIfActive {
                try NIOSSLCertificate.fromPEMFile(file)
            }
            guard !certificates.isEmpty else { throw NIOSSLError.failedToLoadCertificate }
            return .certificates(certificates)
        } catch {
            throw LockerError(
                .invalidRequest, "ca_file \(file) cannot be read as PEM certificates")
        }
    }

    /// The first bytes of a body, as far as they come in good time; a body that fails half way is no failure.
    private static func beginning(of body: HTTPClientResponse.Body) async -> [UInt8] {
        await withTaskGroup(of: [UInt8].self) { group in
            group.addTask {
                var bytes: [UInt8] = []
                var chunks = body.makeAsyncIterator()
                while bytes.count < Answer.largestBody, let chunk = try? await chunks.next() {
                    bytes.append(contentsOf: chunk.readableBytesView)
                }
                return Array(bytes.prefix(Answer.largestBody))
            }
            group.addTask {
                try? await Task.sleep(for: bodyLimit)
                return []
            }
            let first = await group.next() ?? []
            group.cancelAll()
            return first
        }
    }
}

// MARK: Errors

extension HTTPTransport {
    /// The client's error in the words and codes of this project; it never repeats a header or the whole URL.
    private func problem(_ error: any Error, timeout: Duration) -> LockerError {
        let name = settings.endpoint.name
        switch error {
        case let error as HTTPClientError:
            return clientProblem(error, timeout: timeout)
        case is CancellationError:
            return clientProblem(.cancelled, timeout: timeout)
        case ChannelError.connectTimeout:
            return clientProblem(.connectTimeout, timeout: timeout)
        case let error as NIOConnectionError:
            return LockerError(.linkDown, "cannot reach \(name): \(Self.cause(error))")
        case let error as IOError:
            return LockerError(
                .linkDown, "cannot reach \(name): \(systemMessage(error.errnoCode))", sent: .maybe)
        case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
            return tlsProblem(error)
        default:
            return LockerError(
                .linkDown, "posting to \(name) failed: \(type(of: error))", sent: .maybe)
        }
    }

    private func clientProblem(_ error: HTTPClientError, timeout: Duration) -> LockerError {
        let name = settings.endpoint.name
        switch error {
        case .connectTimeout:
            let limit = min(timeout, settings.connectTimeout)
            return LockerError(.timedOut, "no connection to \(name) within \(Self.text(limit))")
        case .tlsHandshakeTimeout:
            return LockerError(.timedOut, "\(name) did not finish the TLS handshake in time")
        case .deadlineExceeded, .readTimeout, .getConnectionFromPoolTimeout:
            return LockerError(
                .timedOut, "\(name) did not answer within \(Self.text(timeout))", sent: .maybe)
        case .remoteConnectionClosed:
            return LockerError(
                .linkDown, "\(name) closed the connection without an answer", sent: .maybe)
        case .cancelled:
            return LockerError(.cancelled, "the delivery was cancelled", sent: .maybe)
        default:
            return LockerError(
                .linkDown, "posting to \(name) failed: \(error.shortDescription)", sent: .maybe)
        }
    }

    private func tlsProblem(_ error: any Error) -> LockerError {
        let name = settings.endpoint.name
        if let extra = error as? NIOSSLExtraError, extra == .failedToValidateHostname {
            return LockerError(
                .refused, "the certificate of \(name) is made out to another host")
        }
        let text = String(describing: error)
        guard text.contains("CERTIFICATE_VERIFY_FAILED") || text.contains("unableToValidate") else {
            return LockerError(.linkDown, "the TLS handshake with \(name) failed")
        }
        let roots = settings.caFile.map { "ca_file \($0)" } ?? "the system's roots"
        return LockerError(.refused, "the certificate of \(name) is not trusted by \(roots)")
    }

    private static func cause(_ error: NIOConnectionError) -> String {
        switch error.connectionErrors.first?.error {
        case let error as IOError: systemMessage(error.errnoCode)
        case ChannelError.connectTimeout?: "no answer in time"
        case .some: "it failed"
        case nil: "its address is not known"
        }
    }

    private static func text(_ duration: Duration) -> String {
        "\(TimeAmount(duration).nanoseconds / 1_000_000) ms"
    }
}
