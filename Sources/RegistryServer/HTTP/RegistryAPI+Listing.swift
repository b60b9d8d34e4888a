import JSON
import OCI

/// Lists: tags, repositories, referrers.
extension RegistryAPI {
    /// Names in one answer when the client does not say how many it wants, and at most.
    private static let pageLimit = 10_000
    /// Bytes of annotations in one page of referrers: an index larger than a manifest may be is refused by clients.
    private static let referrersSize = 2 << 20

    /// The parameter `n`.
    private func limit(_ request: Request) throws(APIFailure) -> Int {
        guard let text = request.target.first("n") else { return RegistryAPI.pageLimit }
        guard let number = ByteRange.number(Substring(text).utf8) else {
            throw APIFailure(400, .unsupported, "the parameter n is not a number of 0 or more")
        }
        return Int(min(number, Int64(RegistryAPI.pageLimit)))
    }

    /// A `Link` to the page behind this one (RFC 8288).
    private func link(_ path: String, _ parameters: [(String, String)]) -> (String, String) {
        let query = parameters.map { $0.0 + "=" + RequestTarget.encoded($0.1) }.joined(separator: "&")
        return ("Link", "<\(path)?\(query)>; rel=\"next\"")
    }

    func tags(_ name: String, _ request: Request) throws(APIFailure) -> Plan {
        let limit = try limit(request)
        return .work { () throws(APIFailure) in
            let page = try storage.tags(name, limit: limit, after: request.target.first("last") ?? "")
            let body = JSONWriter.document { w in
                w.object { w in
                    w.field("name", name)
                    w.key("tags")
                    w.value(page.names)
                }
            }
            return Answer.json(body, pages(page, "/v2/\(name)/tags/list", limit))
        }
    }

    func catalog(_ request: Request) throws(APIFailure) -> Plan {
        let limit = try limit(request)
        return .work { () throws(APIFailure) in
            let page = try storage.repositories(limit: limit, after: request.target.first("last") ?? "")
            let body = JSONWriter.document { w in
                w.object { w in
                    w.key("repositories")
                    w.value(page.names)
                }
            }
            return Answer.json(body, pages(page, "/v2/_catalog", limit))
        }
    }

    private func pages(_ page: NamePage, _ path: String, _ limit: Int) -> [(String, String)] {
        guard page.hasMore, let last = page.names.last else { return [] }
        return [link(path, [("n", String(limit)), ("last", last)])]
    }

    func referrers(_ name: String, _ digest: Digest, _ request: Request) -> Plan {
        .work { () throws(APIFailure) in
            let limit = min(try self.limit(request), 1000)
            let filter = request.target.first("artifactType").flatMap { $0.isEmpty ? nil : $0 }
            let (page, hasMore) = try storage.referrers(
                name, digest, artifactType: filter, limit: limit, size: RegistryAPI.referrersSize,
                after: request.target.first("last") ?? "")
            var headers: [(String, String)] = []
            if filter != nil { headers.append(("OCI-Filters-Applied", "artifactType")) }
            if hasMore, let last = page.last {
                var parameters = [("n", String(limit)), ("last", last.digest)]
                if let filter { parameters.append(("artifactType", filter)) }
                headers.append(link("/v2/\(name)/referrers/\(digest)", parameters))
            }
            return Answer.json(RegistryAPI.index(of: page), type: MediaType.ociIndex.rawValue, headers)
        }
    }

    private static func index(of referrers: [Referrer]) -> [UInt8] {
        JSONWriter.document { w in
            w.object { w in
                w.field("schemaVersion", 2)
                w.field("mediaType", MediaType.ociIndex.rawValue)
                w.key("manifests")
                w.array(referrers) { w, referrer in
                    w.object { w in
                        w.field("mediaType", referrer.mediaType)
                        w.field("digest", referrer.digest)
                        w.field("size", referrer.size)
                        if !referrer.artifactType.isEmpty { w.field("artifactType", referrer.artifactType) }
                        if referrer.annotations.count > 2 { w.rawField("annotations", referrer.annotations) }
                    }
                }
            }
        }
    }
}
