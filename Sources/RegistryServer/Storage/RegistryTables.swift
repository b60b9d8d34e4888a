import Store

/// The tables of a registry, as numbered steps. A released step is never changed; a new one is added behind it.
enum RegistryTables {
    static let layout = Database.Layout(
        fileName: "registry.db", migrations: [initial],
        advice: "move the directory away and push the images again")

    /// Digests are text (`sha256:…`), times are nanoseconds since 1970.
    ///
    /// - `blobs`: what lies below `blobs/`: layers, configs and manifests. A row is committed after the file is on disk and
    ///   deleted before the file goes, so a file without a row is garbage and a row without a file does not exist.
    /// - `links`: which repository may serve which blob. `touched_ns`: pushed or mounted, or lost its last manifest.
    /// - `needs`: what a manifest names and must have (config, layers, manifests of an index; not its subject).
    /// - `uploads`: sessions; what has come is the file's size.
    private static let initial = """
        CREATE TABLE repositories(
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE
        ) STRICT;
        CREATE TABLE blobs(
            digest TEXT PRIMARY KEY,
            size INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE links(
            repository INTEGER NOT NULL REFERENCES repositories(id),
            digest TEXT NOT NULL REFERENCES blobs(digest),
            touched_ns INTEGER NOT NULL,
            PRIMARY KEY(repository, digest)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX links_digest ON links(digest);
        CREATE TABLE manifests(
            repository INTEGER NOT NULL REFERENCES repositories(id),
            digest TEXT NOT NULL REFERENCES blobs(digest),
            media_type TEXT NOT NULL,
            artifact_type TEXT NOT NULL,
            subject TEXT,
            annotations BLOB NOT NULL,
            pushed_ns INTEGER NOT NULL,
            PRIMARY KEY(repository, digest)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX manifests_digest ON manifests(digest);
        CREATE INDEX manifests_subject ON manifests(repository, subject, digest) WHERE subject IS NOT NULL;
        CREATE TABLE needs(
            repository INTEGER NOT NULL,
            manifest TEXT NOT NULL,
            digest TEXT NOT NULL,
            PRIMARY KEY(repository, manifest, digest),
            FOREIGN KEY(repository, manifest) REFERENCES manifests(repository, digest) ON DELETE CASCADE
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX needs_digest ON needs(digest, repository);
        CREATE TABLE tags(
            repository INTEGER NOT NULL,
            name TEXT NOT NULL,
            digest TEXT NOT NULL,
            PRIMARY KEY(repository, name),
            FOREIGN KEY(repository, digest) REFERENCES manifests(repository, digest) ON DELETE CASCADE
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX tags_digest ON tags(repository, digest);
        CREATE TABLE uploads(
            id TEXT PRIMARY KEY,
            repository TEXT NOT NULL,
            algorithm TEXT NOT NULL,
            started_ns INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        """
}
