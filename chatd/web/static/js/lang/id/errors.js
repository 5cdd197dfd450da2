// @ts-check
/**
 * Every error in Indonesian, by its stable code (chatd/base/errors). The realm's own sentence is in English. Only
 * the numbers in it are known here; {1} is the first. i18n.js appends the realm's sentence to `error.internal`,
 * because it contains the reference.
 */

/** @type {Record<string, string>} */
export default {
  "error.bad-encoding": "Teksnya bukan UTF-8; kirim ulang sebagai UTF-8.",
  "error.bad-syntax": "Permintaan itu tidak dimengerti server; muat ulang halaman, lalu coba lagi.",
  "error.line-too-long": "Itu terlalu panjang dan tidak disimpan; kirim yang lebih pendek.",
  "error.unknown-command": "Server ini belum mengenal perintah itu; muat ulang halaman, atau tanya operatornya.",
  "error.usage": "Ada isian yang kurang atau berlebih; periksa kembali.",
  "error.bad-argument": "Ada isian yang tidak dapat dipakai; periksa kembali.",
  "error.bad-name":
    "Nama itu tidak dapat dipakai; pakai 1 sampai 64 huruf, angka, titik, garis bawah, atau tanda hubung, tanpa spasi.",
  "error.reserved-name": "Nama itu khusus untuk sistem; pilih nama lain.",
  "error.bad-text": "Teks tidak boleh berisi karakter kontrol; hapus dahulu, lalu kirim lagi.",
  "error.empty-text": "Belum ada teksnya; tulis sesuatu dahulu.",
  "error.message-too-long": "Pesannya terlalu panjang; kirim sebagian-sebagian atau sebagai file.",
  "error.bad-filename": "Nama file itu tidak dapat dipakai; pakai nama yang berisi huruf atau angka.",
  "error.not-logged-in": "Anda belum masuk; masuk atau daftar dahulu.",
  "error.already-logged-in": "Anda sudah masuk; keluar dahulu.",
  "error.unknown-user": "Tidak ada pengguna dengan nama itu; periksa ejaannya.",
  "error.user-exists": "Username itu sudah dipakai; pilih yang lain.",
  "error.wrong-password": "Kata sandinya salah; coba lagi.",
  "error.too-many-attempts": "Terlalu banyak percobaan masuk yang gagal; tunggu sebentar, lalu coba lagi.",
  "error.too-many-registrations":
    "Terlalu banyak pendaftaran dari alamat Anda; coba lagi dalam {1} menit, atau minta akun kepada operatornya.",
  "error.busy": "Realm sedang sibuk; coba lagi beberapa detik lagi.",
  "error.password-mismatch": "Kedua kata sandi itu berbeda; ketik ulang.",
  "error.weak-password": "Kata sandinya terlalu pendek: paling sedikit {1} karakter.",
  "error.registration-closed": "Realm ini tidak menerima akun baru; mintalah kepada operatornya.",
  "error.bad-token": "Sesi Anda sudah berakhir; masuk lagi.",
  "error.unknown-realm": "Realm itu belum dikenal di sini; daftar realm menunjukkan mana yang dapat dihubungi.",
  "error.realm-exists": "Realm itu sudah terdaftar; lihat keadaannya di daftar realm.",
  "error.own-realm": "Itu realm ini sendiri; tambahkan realm lain.",
  "error.token-in-text":
    "Ada token session Anda di dalamnya; siapa pun yang membacanya dapat bertindak sebagai Anda. Hapus dahulu.",
  "error.already-claimed":
    "Realm ini sudah mempunyai operator, dan kodenya hanya berlaku sekali; mintalah kepada operator apa yang Anda perlukan.",
  "error.wrong-code": "Itu bukan kode operator realm ini; kodenya ada di file operator-code di folder state realm.",
  "error.not-operator": "Hanya operator realm ini yang boleh melakukannya; mintalah kepada salah satu dari mereka.",
  "error.forbidden-address":
    "Alamat itu tidak dapat dipakai untuk realm: alamat link-local dan multicast tidak dihubungi.",
  "error.realm-unreachable":
    "Realm itu tidak dapat dihubungi; periksa host dan port-nya, dan pastikan realm itu sedang berjalan.",
  "error.wrong-realm": "Di alamat itu ada realm lain; tambahkan dengan nama yang sebenarnya.",
  "error.certificate-changed":
    "Realm itu menunjukkan sertifikat yang berbeda dari yang diingat di sini; mungkin ada yang menyamar. Pastikan dahulu kepada operatornya, baru hapus dan tambahkan lagi.",
  "error.bad-certificate": "Sertifikat realm itu tidak sah; operatornya harus memperbaruinya.",
  "error.realm-not-allowed": "Kedua realm ini tidak diizinkan saling terhubung; tanya operatornya.",
  "error.too-many-unknown":
    "Realm itu tidak lagi menjawab tentang nama yang baru baginya; coba lagi satu jam lagi, atau minta operatornya menambahkan realm ini.",
  "error.realm-down": "Realm itu sedang tidak dapat dihubungi; coba lagi setelah tersambung.",
  "error.group-closed":
    "Hanya anggota yang boleh mengirim ke grup ini; bergabunglah dahulu, atau minta adminnya membukanya.",
  "error.not-yourself": "Anda hanya dapat membaca inbox Anda sendiri.",
  "error.ambiguous-name": "Nama itu milik seorang pengguna dan sebuah grup; tulis @nama untuk penggunanya, #nama untuk grupnya.",
  "error.expired": "Realm itu terlalu lama tidak dapat dihubungi, jadi ini tidak tersampaikan; kirim lagi nanti.",
  "error.peer-failed": "Realm itu tidak dapat menerimanya dan tidak menyebut sebabnya; beri tahu operatornya.",
  "error.text-refused":
    "Realm itu tidak menerima teks ini; kalau terdiri dari beberapa baris, kirim satu demi satu, karena realm versi lama hanya menerima satu baris.",
  "error.unknown-group": "Tidak ada grup dengan nama atau kode itu; periksa ejaannya, atau lihat daftar grup.",
  "error.group-exists": "Nama grup itu sudah dipakai; bergabunglah, atau pilih nama lain.",
  "error.already-member": "Sudah menjadi anggota grup ini.",
  "error.not-member": "Anda bukan anggota grup ini; bergabunglah dahulu.",
  "error.user-not-member": "Orang itu bukan anggota grup ini.",
  "error.not-admin": "Hanya admin grup yang boleh melakukannya; lihat daftar anggota untuk mengetahui siapa adminnya.",
  "error.banned": "Anda telah dikeluarkan dari grup ini dan tidak dapat kembali sendiri; minta adminnya mengundang Anda.",
  "error.not-banned": "Orang itu tidak dilarang masuk ke grup ini.",
  "error.group-full": "Grup ini sudah penuh; minta adminnya memberi tempat.",
  "error.realm-full":
    "Grup ini sudah terlalu banyak anggotanya dari realm itu; minta operator realm grup ini menaikkan batasnya.",
  "error.too-many-groups": "Sudah terlalu banyak grup yang diikuti; keluar dahulu dari salah satu.",
  "error.too-many-new-groups": "Anda membuat terlalu banyak grup dalam satu jam; coba lagi nanti.",
  "error.unknown-contact": "Orang itu tidak ada di daftar kontak Anda.",
  "error.contact-exists": "Orang itu sudah ada di daftar kontak Anda.",
  "error.too-many-contacts": "Kontak Anda sudah sebanyak yang diizinkan; hapus salah satu dahulu.",
  "error.unknown-conversation": "Anda tidak punya percakapan itu.",
  "error.not-in-room": "Anda tidak sedang berada di ruang mana pun; masuk ke salah satu dahulu.",
  "error.unknown-file": "File itu tidak ada, atau Anda tidak boleh mengunduhnya.",
  "error.file-too-large": "Filenya terlalu besar; kirim yang lebih kecil.",
  "error.quota-exceeded": "Ruang untuk file Anda tidak cukup lagi; kirim file yang lebih kecil.",
  "error.room-files-full": "Ruang untuk file di ruang obrolan sudah penuh; kirim file itu ke orang atau grup.",
  "error.no-data-door": "File client ini lewat port kedua, dan port itu tertutup; minta operatornya membukanya.",
  "error.no-data-connection": "Koneksi untuk filenya tidak datang; coba lagi.",
  "error.transfer-conflict": "Dua file dari alamat Anda dimulai bersamaan, jadi keduanya dihentikan; kirim satu demi satu.",
  "error.transfer-broken": "Koneksi untuk filenya terputus; coba lagi.",
  "error.storage-failed": "Server sedang tidak dapat menyimpan apa pun, dan ini belum tersimpan; coba lagi nanti.",
  "error.disk-full": "Penyimpanan server hampir penuh; pesan dan file belum diterima. Coba lagi nanti.",
  "error.message-quota": "Jatah pesan Anda untuk hari ini sudah habis; coba lagi besok.",
  "error.realm-quota": "Jatah pesan realm Anda di sana untuk hari ini sudah habis; coba lagi besok.",
  "error.file-missing": "File itu tidak ada lagi di server; minta pengirimnya mengirim lagi.",
  "error.file-damaged": "File itu rusak di server; minta pengirimnya mengirim lagi.",
  "error.too-many-connections": "Terlalu banyak sambungan saat ini; coba lagi nanti.",
  "error.idle": "Sambungan diputus karena terlalu lama diam; akan disambung lagi.",
  "error.shutting-down": "Server sedang dimatikan; sambungan akan dicoba lagi sebentar lagi.",
  "error.internal": "Terjadi kesalahan di server; sampaikan pesan ini kepada operatornya.",
  "error.use-http": "File tidak dikirim lewat jalur ini; muat ulang halaman, lalu kirim lagi.",
  "error.foreign-origin":
    "Halaman ini dibuka dari alamat yang tidak diizinkan oleh realm; buka lewat alamat realm itu sendiri.",
  "error.foreign-host":
    "Realm tidak dikenal dengan alamat ini; buka lewat nama atau alamat realm itu sendiri.",
  "error.bad-host": "Permintaan tidak menyebut alamat realm dengan benar; muat ulang halaman.",
  "error.upload-offset": "Pengiriman file tersendat di tengah jalan; coba kirim lagi.",
  "error.too-many-uploads": "Terlalu banyak file yang sedang dikirim; tunggu salah satu selesai, atau batalkan.",
  "error.unknown-page": "Alamat itu tidak ada; muat ulang halaman.",
  "error.bad-method": "Server menolak permintaan itu; muat ulang halaman, lalu coba lagi.",
  "error.body-too-large": "Itu terlalu besar; kirim yang lebih kecil.",
  "error.length-required": "Ukuran file tidak diketahui; coba kirim lagi.",
};
