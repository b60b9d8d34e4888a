/// The tables, as numbered steps. A released step is never changed; a new one is added behind it.
enum Schema {
    static var version: Int64 { Int64(migrations.count) }

    static let migrations: [String] = [initial, registryNames, compressedLayers, networks, sharedVolumes, buildSteps]

    /// Digests and ids are text (`sha256:…`, 64 hexadecimal digits), times are nanoseconds since 1970.
    ///
    /// - `images.layer`, `containers.layer`: chain id of the topmost layer; the ones below follow through `layers.parent`.
    ///   A layer is kept while an image, a container or a layer above it needs it.
    /// - `layers.boot`: NULL when the layer is known to be on disk; otherwise the boot in which it was unpacked, as it is
    ///   only trusted until the power fails.
    /// - `containers.image_id` is no reference: a container outlives its image's name (`rmi -f`).
    private static let initial = """
        CREATE TABLE layers(
            chain_id TEXT PRIMARY KEY,
            parent TEXT REFERENCES layers(chain_id),
            diff_id TEXT NOT NULL,
            diff_size INTEGER NOT NULL,
            boot TEXT
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX layers_parent ON layers(parent);
        CREATE TABLE images(
            id TEXT PRIMARY KEY,
            manifest_digest TEXT NOT NULL,
            layer TEXT REFERENCES layers(chain_id),
            size INTEGER NOT NULL,
            created_ns INTEGER NOT NULL,
            added_ns INTEGER NOT NULL,
            manifest BLOB NOT NULL,
            config BLOB NOT NULL
        ) STRICT;
        CREATE INDEX images_layer ON images(layer);
        CREATE TABLE names(
            reference TEXT PRIMARY KEY,
            image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX names_image ON names(image_id);
        CREATE TABLE image_blobs(
            image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
            digest TEXT NOT NULL,
            size INTEGER NOT NULL,
            PRIMARY KEY(image_id, digest)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX image_blobs_digest ON image_blobs(digest);
        CREATE TABLE containers(
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            created_ns INTEGER NOT NULL,
            image_id TEXT,
            layer TEXT REFERENCES layers(chain_id),
            auto_remove INTEGER NOT NULL,
            definition BLOB NOT NULL
        ) STRICT;
        CREATE INDEX containers_layer ON containers(layer);
        CREATE INDEX containers_image ON containers(image_id);
        CREATE TABLE volumes(
            name TEXT PRIMARY KEY,
            driver TEXT NOT NULL,
            options TEXT NOT NULL,
            labels TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            anonymous INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE container_volumes(
            container_id TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
            volume TEXT NOT NULL REFERENCES volumes(name),
            PRIMARY KEY(container_id, volume)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX container_volumes_volume ON container_volumes(volume);
        """

    /// What registries call images, and when images were used.
    ///
    /// - `repo_digests.reference`: `docker.io/library/x@sha256:…`, the digest of the manifest or index that the repository has;
    ///   `media_type` and `size` are that document's. The documents are blobs of the image (`image_blobs`).
    /// - `name_history`: every name an image ever had, with the last time it got it.
    /// - `image_uses`: a table of its own, as a column behind `images.config` could only be reached through the documents.
    ///   No row: not used since it came.
    private static let registryNames = """
        CREATE TABLE repo_digests(
            reference TEXT PRIMARY KEY,
            image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
            media_type TEXT NOT NULL,
            size INTEGER NOT NULL,
            added_ns INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX repo_digests_image ON repo_digests(image_id);
        CREATE TABLE name_history(
            image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
            reference TEXT NOT NULL,
            since_ns INTEGER NOT NULL,
            PRIMARY KEY(image_id, reference)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO name_history SELECT image_id, reference, 0 FROM names;
        CREATE TABLE image_uses(
            image_id TEXT PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE,
            used_ns INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        """

    /// What plain layers became when they were pushed (`Store+CompressedLayers.swift`): digest and size by the plain blob's
    /// digest and the way it was compressed. A row goes with the last image that needs the plain blob.
    private static let compressedLayers = """
        CREATE TABLE compressed_layers(
            plain TEXT NOT NULL,
            method TEXT NOT NULL,
            digest TEXT NOT NULL,
            size INTEGER NOT NULL,
            PRIMARY KEY(plain, method)
        ) STRICT, WITHOUT ROWID;
        CREATE TRIGGER compressed_layers_end AFTER DELETE ON image_blobs
        WHEN NOT EXISTS (SELECT 1 FROM image_blobs WHERE digest=OLD.digest)
        BEGIN
            DELETE FROM compressed_layers WHERE plain=OLD.digest;
        END;
        """

    /// Networks, and what containers have of them. Addresses are blobs in network order, so that they sort by number.
    ///
    /// - `subnets`: the first and last address of each; those of all networks lie beside each other, so the one that begins
    ///   last before an address is the only one that can hold it.
    /// - `endpoints.position`: the number of the device inside (`eth0`). `network_id` is NULL where the network was removed
    ///   while the container did not run: `definition` has its name. The two indexes are the leases: NULLs are distinct.
    /// - `ports`: what a start gave to a container. A row says nothing about a container that does not run.
    /// - `address_prefixes`: where subnets are cut from that nobody named, by family.
    private static let networks = """
        CREATE TABLE networks(
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            driver TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            definition BLOB NOT NULL
        ) STRICT;
        CREATE TABLE subnets(
            family INTEGER NOT NULL,
            first BLOB NOT NULL,
            last BLOB NOT NULL,
            network_id TEXT NOT NULL REFERENCES networks(id) ON DELETE CASCADE,
            PRIMARY KEY(family, first)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX subnets_network ON subnets(network_id);
        CREATE TABLE endpoints(
            container_id TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            id TEXT NOT NULL,
            network_id TEXT REFERENCES networks(id) ON DELETE SET NULL,
            ipv4 BLOB,
            ipv6 BLOB,
            mac BLOB,
            definition BLOB NOT NULL,
            PRIMARY KEY(container_id, position),
            UNIQUE(container_id, network_id)
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX endpoints_ipv4 ON endpoints(network_id, ipv4);
        CREATE UNIQUE INDEX endpoints_ipv6 ON endpoints(network_id, ipv6);
        CREATE TABLE ports(
            container_id TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            transport TEXT NOT NULL,
            address BLOB NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            container_port INTEGER NOT NULL,
            PRIMARY KEY(container_id, position)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX ports_last ON ports(transport, last, first);
        CREATE TABLE address_prefixes(
            family INTEGER PRIMARY KEY,
            prefix BLOB NOT NULL
        ) STRICT;
        """

    /// - `container_volumes.owned`: where the volume has no name of the user's it goes with the last container that owns it.
    ///   0: the container was given it by name, so it is kept for somebody.
    /// - `container_images`: images that a container mounts besides the one it was made from, with the topmost layer. As with
    ///   `containers.layer`, the layers stay while the container does.
    private static let sharedVolumes = """
        ALTER TABLE container_volumes ADD COLUMN owned INTEGER NOT NULL DEFAULT 1;
        CREATE TABLE container_images(
            container_id TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
            image_id TEXT NOT NULL,
            layer TEXT REFERENCES layers(chain_id),
            PRIMARY KEY(container_id, image_id)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX container_images_layer ON container_images(layer);
        CREATE INDEX container_images_image ON container_images(image_id);
        """

    /// What steps of builds made, by what they were made from (docs/build.md).
    ///
    /// - `layer`: the layer the step made, and `blob` its stored bytes, which are kept as those of images are; NULL: it changed nothing.
    /// - `size`: bytes on disk of the layer's files and its stored bytes.
    private static let buildSteps = """
        CREATE TABLE build_steps(
            key TEXT PRIMARY KEY,
            layer TEXT REFERENCES layers(chain_id),
            blob TEXT,
            media_type TEXT,
            blob_size INTEGER NOT NULL,
            size INTEGER NOT NULL,
            description TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            used_ns INTEGER NOT NULL,
            uses INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX build_steps_layer ON build_steps(layer);
        CREATE INDEX build_steps_blob ON build_steps(blob);
        """
}
