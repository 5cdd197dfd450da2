"""Every error in Indonesian, for the dialects of Indonesian programs. A test finds missing ones."""

from __future__ import annotations

from chatd.base import errors
from chatd.lines.dialects.verbs import Texts

INDONESIAN: Texts = {
    errors.BadEncoding: "Baris itu bukan UTF-8; kirim teks sebagai UTF-8",
    errors.BadSyntax: "Baris itu bukan permintaan yang benar",
    errors.LineTooLong: "Baris lebih panjang dari {limit} byte dan dibuang; kirim yang lebih pendek",
    errors.LineStalled: (
        "Baris bertambah kurang dari {bytes} byte dalam {seconds} detik dan dibuang; kirim lagi"
    ),
    errors.InlineFull: (
        "Baris berisi file sedang memakai terlalu banyak memori (milik Anda paling banyak {limit} byte), dan "
        "baris ini dibuang; kirim lagi nanti, satu demi satu"
    ),
    errors.UnknownCommand: "Tidak ada perintah {verb}",
    errors.Usage: "Argumen tidak benar; pemakaian: {usage}",
    errors.BadArgument: "Isi {argument} tidak benar",
    errors.BadName: (
        "{name} bukan nama yang benar; pakai 1 sampai 64 huruf, angka, titik, garis bawah atau strip"
    ),
    errors.ReservedName: "Nama {name} tidak boleh dipakai; pilih yang lain",
    errors.BadText: "Teks tidak boleh berisi karakter kontrol (ada satu di posisi {position})",
    errors.EmptyText: "Teksnya kosong; tulis sesuatu",
    errors.TokenInText: "Ada token session Anda di dalamnya; hapus dahulu, lalu kirim lagi",
    errors.MessageTooLong: "Pesan {size} byte dan paling banyak {limit}; bagi atau kirim sebagai file",
    errors.NotLoggedIn: "Login dahulu",
    errors.AlreadyLoggedIn: "Logout terlebih dahulu",
    errors.UnknownUser: "Tidak ada user {name}",
    errors.UserExists: "Username {name} sudah dipakai; pilih yang lain",
    errors.WrongPassword: "Password {name} salah; coba lagi",
    errors.TooManyAttempts: "Terlalu banyak login gagal untuk {name}; coba lagi dalam {seconds} detik",
    errors.TooManyRegistrations: (
        "Terlalu banyak pendaftaran dari alamat Anda; coba lagi dalam {minutes} menit"
    ),
    errors.Busy: "Realm sedang sibuk; coba lagi beberapa detik lagi",
    errors.PasswordMismatch: "Kedua password berbeda; ulangi",
    errors.WeakPassword: "Password paling sedikit {minimum} karakter; pilih yang lebih panjang",
    errors.RegistrationClosed: "Realm ini tidak menerima akun baru; minta kepada operatornya",
    errors.InvitationNeeded: (
        "Akun baru di realm ini memerlukan undangan; daftar dengannya di {where}"
    ),
    errors.BadInvitation: "Undangan itu tidak berlaku, atau tidak berlaku lagi; minta yang baru",
    errors.TooManyCodes: (
        "Terlalu banyak kode salah dari alamat Anda; coba lagi dalam {seconds} detik"
    ),
    errors.BadResetLink: (
        "Tautan itu tidak berlaku, atau tidak berlaku lagi; minta yang baru kepada operator"
    ),
    errors.NoWebDoor: "Realm ini tidak punya pintu untuk browser; pakai admin user passwd {name}",
    errors.InvitationNotFound: "Tidak ada undangan {invitation}",
    errors.NotAccepted: "{name} tidak menerima pesan dari Anda",
    errors.RequestPending: "{name} belum menerima permintaan pesan Anda; tunggu jawabannya",
    errors.UnknownRequest: "Tidak ada permintaan pesan dari {name}",
    errors.NotBlocked: "{name} tidak diblokir",
    errors.TooManyBlocks: "Anda sudah memblokir {limit}; lepas satu dahulu",
    errors.UnknownReport: "Tidak ada laporan {report}",
    errors.TooManyReports: "Sudah ada {limit} laporan yang terbuka; coba lagi nanti",
    errors.UnknownSession: "Anda tidak punya session {session}",
    errors.BadToken: "Session itu tidak ada atau sudah berakhir; login lagi",
    errors.UnknownRealm: "Realm ini tidak mengenal realm {realm}",
    errors.RealmNotFound: "Realm {realm} tidak ditemukan, periksa ejaannya",
    errors.LookupDenied: "Realm {realm} tidak boleh dicari dari sini; minta operator menambahkannya",
    errors.TooManyLookups: "Terlalu banyak realm yang dicari, coba lagi {minutes} menit lagi",
    errors.RealmExists: "Realm {realm} sudah ada",
    errors.OwnRealm: "{realm} adalah realm ini sendiri; tambahkan yang lain",
    errors.NotOperator: "Hanya operator realm ini yang boleh melakukannya; minta kepada mereka",
    errors.NotModerator: "Hanya moderator realm ini yang boleh melakukannya; minta kepada mereka",
    errors.NotBannedHere: "Tidak ada larangan untuk {target}; admin ban list menampilkan semuanya",
    errors.TooManyBans: "Sudah ada {limit} larangan; hapus satu dahulu",
    errors.LocksYouOut: (
        "Larangan untuk {target} juga mengenai Anda sendiri; ulangi dengan force=on kalau itu maksudnya"
    ),
    errors.AccountDisabled: "Akun {name} dinonaktifkan; hubungi operator realm ini",
    errors.SessionNotFound: "{name} tidak punya session {session}",
    errors.TooManyExports: (
        "Data boleh diekspor {limit} kali sejam; coba lagi dalam {minutes} menit"
    ),
    errors.ExportUnfinished: "Ekspor terakhir belum selesai; selesaikan atau batalkan dahulu",
    errors.BadArchive: "Ini bukan arsip yang dapat diimpor: {reason}",
    errors.TooManyImports: (
        "Arsip boleh diimpor {limit} kali sejam; coba lagi dalam {minutes} menit"
    ),
    errors.ImportUnfinished: "Impor terakhir belum selesai; tunggu, atau batalkan dahulu",
    errors.NoImport: "Anda tidak mempunyai impor, atau sudah selesai",
    errors.ImportedMessage: (
        "Pesan #{seq} diimpor dari arsip, jadi tidak dapat diubah atau dilaporkan"
    ),
    errors.LastOperator: (
        "Anda satu-satunya operator realm ini, jadi akun Anda tidak dapat dihapus atau pindah"
    ),
    errors.OnlyOperator: "{name} satu-satunya operator realm ini; jadikan akun lain operator dahulu",
    errors.OwnAccount: "Itu akun Anda sendiri, yang hanya dihapus oleh deleteaccount",
    errors.AccountMoved: "{name} sudah pindah dan sekarang {to}; tulislah ke sana",
    errors.MovedAway: (
        "Akun ini sudah pindah dan sekarang {to}; login di sana. Di sini Anda masih dapat membaca, "
        "mengekspor data, dan pindah kembali dengan moveaccount"
    ),
    errors.UnknownClaim: "{name} tidak mengatakan bahwa ia punya alamat lain; lihat moves",
    errors.TooManyClaims: "Boleh {limit} kali sejam; coba lagi dalam {minutes} menit",
    errors.NoMove: "Tidak ada perpindahan akun Anda; moveaccount <alamat> <password> memulainya",
    errors.TooManyMoves: "Anda sudah menyetujui {limit} perpindahan; batalkan dengan cancelmove",
    errors.AlreadyClaimed: "Realm ini sudah mempunyai operator",
    errors.WrongCode: "Itu bukan kode operator realm ini; lihat file operator-code",
    errors.ForbiddenAddress: "{address} tidak boleh dihubungi",
    errors.RealmUnreachable: "{realm} tidak dapat dihubungi di {address}",
    errors.WrongRealm: "Realm di {address} adalah {found}, bukan {realm}",
    errors.BackupFailed: "Itu tidak dilakukan: {reason}",
    errors.ReloadFailed: "Tidak ada yang diubah: {reason}",
    errors.LocalOnly: "{command} hanya untuk chatctl di mesin realm itu sendiri; jalankan di sana",
    errors.StillRunning: "Realm sedang berjalan; hentikan, lalu jalankan chatctl {command} lagi",
    errors.CertificateChanged: "Sertifikat {realm} berubah; tanyakan kepada operatornya",
    errors.BadCertificate: "Sertifikat {realm} tidak berlaku; tanyakan kepada operatornya",
    errors.RealmNotAllowed: "{realm} tidak boleh terhubung dengan {where}",
    errors.TooManyUnknown: "Terlalu banyak nama yang tidak dikenal, coba lagi satu jam lagi",
    errors.RealmDown: "{realm} sedang tidak dapat ditanya; coba lagi nanti",
    errors.GroupClosed: "Hanya anggota yang boleh menulis di {group}; bergabunglah dahulu",
    errors.NotYourPicture: "Hanya gambar sendiri yang bisa diganti, bukan gambar {name}",
    errors.UnknownPicture: "{name} tidak punya gambar",
    errors.NotYourself: "Hanya inbox sendiri yang boleh dibaca, dan Anda adalah {name}",
    errors.Expired: "{realm} tidak tercapai selama itu",
    errors.PeerFailed: "{realm} tidak dapat menerimanya; beri tahu operatornya",
    errors.TextRefused: (
        "{realm} tidak menerima teks ini; kalau terdiri dari beberapa baris, kirim satu demi satu, karena "
        "realm versi lama hanya menerima satu baris"
    ),
    errors.OtherVersion: (
        "{realm} memakai versi {theirs} dari protokol antar-realm, dan realm ini versi {ours}; operator yang "
        "lebih lama harus memperbaruinya"
    ),
    errors.NotSupportedThere: (
        "{realm} tidak mendukung {what}; operatornya mungkin dapat memperbaruinya"
    ),
    errors.UnknownThere: "{realm} tidak memiliki pesan ini, jadi tidak ada yang diubah di sana",
    errors.BadSignature: (
        "{where} tidak menerima ini, karena {reason}; beri tahu operator kedua realm"
    ),
    errors.NotYours: "Pesan #{seq} bukan milik Anda; hanya {who} yang boleh",
    errors.NotEditable: "Pesan #{seq} {has}, jadi tidak dapat diubah; hapus lalu kirim yang lain",
    errors.TooManyReactions: "Pesan #{seq} sudah punya {limit} emoji berbeda",
    errors.TooManyPins: "Sudah ada {limit} pesan yang disematkan; lepas satu dahulu",
    errors.NotPending: "Anda tidak punya pesan {id} yang dapat dihapus; yang ditolak dapat dihapus",
    errors.UnknownInvitation: "Tidak ada undangan ke {group}",
    errors.TooManyInvitations: "Sudah {limit} undangan dari {name} menunggu jawaban; coba lagi nanti",
    errors.UnknownGroup: "Tidak ada group {name}",
    errors.GroupMoved: "{group} telah pindah; alamatnya sekarang {to}",
    errors.GroupLivesHere: "{group} ada di realm ini, jadi tidak perlu diselamatkan",
    errors.HomeNotLost: "{realm} belum dianggap hilang; coba lagi dalam {hours} jam",
    errors.NoRoster: "Realm {group} belum memberi tahu siapa anggotanya, jadi tidak dapat diselamatkan",
    errors.NotFounder: "Anda tidak boleh menyelamatkan {group}; yang boleh: {founders}",
    errors.RescueExists: "{group} sudah diselamatkan sebagai {to}; realm ini segera mengikutinya",
    errors.NotMovable: "{group} tidak dapat pindah ke {realm}: {reason}",
    errors.NoGroupMove: "Tidak ada usul pemindahan {group}",
    errors.GroupExists: "Nama {name} sudah dipakai; pilih yang lain",
    errors.AlreadyMember: "{name} sudah menjadi anggota {group}",
    errors.NotMember: "Anda bukan anggota {group}; bergabunglah dahulu",
    errors.NotTheirGroup: "{name} bukan anggota {group}",
    errors.NotAdmin: "Hanya admin {group} yang boleh melakukannya",
    errors.Banned: "Anda dilarang masuk ke {group}{until}; hubungi pengelolanya",
    errors.LastAdmin: "{name} adalah satu-satunya admin {group}; jadikan orang lain admin dulu",
    errors.Muted: "Anda dibisukan di {group}{until}; hubungi moderator realm-nya",
    errors.GroupShut: "{group} ditutup oleh pengelola realm-nya{reason}; isinya hanya dapat dibaca",
    errors.GroupNotShut: "{group} tidak ditutup oleh pengelola",
    errors.GroupEnding: "{group} sedang dihapus",
    errors.GroupElsewhere: (
        "{group} ada di {realm}: hubungi pengelola {realm}, atau tolak seluruh realm itu"
    ),
    errors.NotMuted: "{name} tidak dibisukan di sana",
    errors.TooManyMutes: "Sudah ada {limit} orang yang dibisukan; lepas satu dahulu",
    errors.NotBanned: "{name} tidak diblokir dari {group}",
    errors.GroupFull: "{group} sudah punya {limit} anggota dan penuh; minta adminnya memberi tempat",
    errors.RealmFull: "{group} sudah punya {limit} anggota dari {realm}; minta operatornya menambah batas",
    errors.TooManyGroups: "{name} sudah berada di {limit} group; keluar dari salah satunya dahulu",
    errors.TooManyTakenNames: (
        "Anda memilih {limit} nama yang sudah dipakai dalam satu jam; coba lagi dalam {minutes} menit"
    ),
    errors.TooManyFailedJoins: "Terlalu sering gagal bergabung; coba lagi dalam {seconds} detik",
    errors.TooManyNewGroups: "Anda membuat {limit} group dalam satu jam; coba lagi dalam {minutes} menit",
    errors.UnknownInvitation: "Anda tidak punya undangan ke {group}",
    errors.TooManyInvitations: "{limit} undangan dari {name} belum dijawab; coba lagi nanti",
    errors.NotRequested: "{name} belum meminta bergabung dengan {group}",
    errors.UnknownContact: "{name} tidak ada di daftar kontak Anda",
    errors.ContactExists: "{name} sudah ada di daftar kontak Anda",
    errors.TooManyContacts: "Anda sudah punya {limit} kontak; hapus salah satunya dahulu",
    errors.AmbiguousName: (
        "{name} adalah user dan juga group; tulis @{name} untuk user atau #{name} untuk group"
    ),
    errors.UnknownConversation: "Anda tidak punya percakapan {name}",
    errors.NotInRoom: "Anda tidak berada di room; masuk dahulu",
    errors.UnknownMessage: "Tidak ada pesan {seq} di percakapan ini",
    errors.UnknownFile: "Tidak ada file {name} yang boleh Anda ambil",
    errors.BadFileName: "{name} bukan nama file yang benar; pakai yang berisi huruf atau angka",
    errors.FileTooLarge: "File {size} byte dan paling banyak {limit}; kirim yang lebih kecil",
    errors.QuotaExceeded: "File Anda paling banyak {limit} byte dan tersisa {left}; kirim yang lebih kecil",
    errors.RoomFilesFull: (
        "File di room paling banyak {files} dengan {limit} byte, dan itu sudah penuh; "
        "kirim ke user atau group"
    ),
    errors.NoDataDoor: (
        "File client ini lewat port kedua, dan di sini port itu tertutup; minta operatornya menambahkan "
        "tugas4-data = tcp:1338 di [listen] pada chatd.ini"
    ),
    errors.NoDataConnection: "Koneksi untuk filenya tidak datang dalam {seconds} detik; coba lagi",
    errors.TransferConflict: (
        "Dua file dari alamat Anda dimulai bersamaan, jadi keduanya dihentikan; tunggu {seconds} detik, "
        "lalu kirim atau ambil satu demi satu"
    ),
    errors.TransferBroken: "Koneksi untuk filenya terputus; coba lagi",
    errors.StorageFailed: "Realm sedang tidak dapat menyimpan apa pun; coba lagi nanti",
    errors.DiskFull: "Disk realm hampir penuh; pesan dan file belum diterima, coba lagi nanti",
    errors.MessageQuota: (
        "Pesan Anda paling banyak {limit} byte sehari dan itu sudah terpakai; "
        "coba lagi dalam {minutes} menit"
    ),
    errors.RealmQuota: (
        "Realm itu menerima paling banyak {limit} byte pesan sehari dan itu sudah terpakai; "
        "coba lagi dalam {minutes} menit"
    ),
    errors.FileArriving: "File {name} masih dalam perjalanan dari realm lain; coba lagi nanti",
    errors.FileLost: "File {name} tidak sampai dari realm asalnya; minta dikirim lagi",
    errors.TooMuchArriving: (
        "Terlalu banyak file masih dalam perjalanan ke {where}; paling banyak {limit} byte pada satu saat, "
        "coba lagi nanti"
    ),
    errors.FileMissing: "File {name} tidak ada lagi di realm; minta dikirim lagi",
    errors.FileDamaged: "File {name} rusak di realm; minta dikirim lagi",
    errors.TooManyConnections: "Terlalu banyak koneksi; coba lagi nanti",
    errors.Idle: "Tidak ada kabar selama {seconds} detik; sambungkan lagi bila perlu",
    errors.WrongProtocol: (
        "Port ini untuk protokol {dialect} dari chatd, bukan {found}; untuk browser pakai alamat web realm "
        "ini, untuk program lain pakai port protokolnya sendiri"
    ),
    errors.ShuttingDown: "Realm sedang dimatikan; sambungkan lagi nanti",
    errors.InternalError: "internal error {reference}; beri tahu operator kode ini, ada di log",
    errors.UseHttp: (
        "Di sini file lewat HTTP: PUT /uploads/<key> mengirim, GET /files/<code> mengambil, "
        "GET /files/<code>?room mengambil file room, dan GET /export data Anda"
    ),
    errors.UnknownPage: "Tidak ada apa pun di {path}; mulai dari /",
    errors.BadMethod: "{path} tidak dapat diminta dengan {method}; pakai {allowed}",
    errors.ForeignOrigin: (
        "Ini datang dari halaman {origin}, yang tidak boleh berbicara atas nama Anda; "
        "pakai halaman realm ini"
    ),
    errors.ForeignHost: (
        "Realm ini tidak bernama {host}; buka dengan nama atau alamatnya sendiri, "
        "atau minta operatornya menambahkan nama itu di [web] hosts"
    ),
    errors.BadHost: "Permintaan menyebut satu host, dalam satu baris Host yang benar; kirim seperti itu",
    errors.BodyTooLarge: "Isi permintaan ini paling banyak {limit} byte; kirim lebih sedikit",
    errors.LengthRequired: "Panjang isinya harus diketahui dahulu; kirim Content-Length",
    errors.BadPicture: "{name} tidak bisa ditampilkan sebagai gambar; kirim PNG, JPEG, WebP atau GIF",
    errors.UploadOffset: "Sudah ada {offset} byte dari file itu di sini; lanjutkan dari sana",
    errors.TooManyUploads: "Ada {limit} file yang belum selesai; selesaikan atau batalkan salah satunya",
}
