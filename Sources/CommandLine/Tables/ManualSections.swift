import Flags

/// What `man berth` has beside the commands.
enum ManualSections {
    static var berth: [ManualSection] {
        [
            ManualSection(
                "ENVIRONMENT",
                [
                    ("BERTH_ROOT", "Directory of images and containers, as --root"),
                    ("BERTH_RUN_ROOT", "Directory of what a reboot may lose, as --runroot"),
                    ("REGISTRY_AUTH_FILE", "File with the credentials for registries, as --authfile"),
                    ("DOCKER_CONFIG", "Directory of docker's config.json"),
                    ("CONTAINERS_REGISTRIES_CONF", "File that is read instead of registries.conf"),
                    ("XDG_DATA_HOME, XDG_CONFIG_HOME, XDG_RUNTIME_DIR", "Where an ordinary user's files are, instead of the places below"),
                ]),
            ManualSection(
                "FILES",
                [
                    ("/var/lib/berth, ~/.local/share/berth", "Images, containers and volumes of root, and of an ordinary user"),
                    ("/run/berth, $XDG_RUNTIME_DIR/berth", "What runs"),
                    ("/etc/berth/berth.conf, ~/.config/berth/berth.conf", "The configuration"),
                    (
                        "/etc/containers/registries.conf, ~/.config/containers/registries.conf",
                        "Registries and their mirrors, as podman has them"
                    ),
                    ("/etc/containers/policy.json, ~/.config/containers/policy.json", "Whose signatures images need"),
                    ("~/.docker/config.json", "Credentials for registries, as docker has them"),
                ]),
        ]
    }
}
