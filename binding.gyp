{
  # The addon (the native half without its fakes, and the seam to Node.js) and the supervisor, a program of its own.
  # Built by `npm run build:native`.
  "targets": [
    {
      "target_name": "galleonfs",
      "sources": ["<!@(find native/store native/disk native/fuse native/napi -name '*.cc' ! -name 'fake_*' | LC_ALL=C sort)"],
      "include_dirs": [
        "<!(node -p \"require('node-addon-api').include_dir\")",
        "native",
        "node_modules/xxhash-addon/xxHash"
      ],
      "defines": ["NAPI_VERSION=9", "NAPI_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "_FILE_OFFSET_BITS=64"],
      "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-g1"],
      "cflags_cc!": ["-fno-rtti", "-fno-exceptions", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-O3", "-fexceptions", "-frtti"],
      "libraries": ["-pthread"]
    },
    {
      "target_name": "galleonfs-supervisor",
      "type": "executable",
      "sources": ["<!@(find native/supervisor -name '*.cc' | LC_ALL=C sort)"],
      "include_dirs": ["native"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-g1"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-O2"],
      "ldflags!": ["-rdynamic"],
      "ldflags": ["-static-libstdc++", "-static-libgcc"]
    }
  ]
}
