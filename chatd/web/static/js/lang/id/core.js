// @ts-check
/** The texts that every page needs, in Indonesian. */

/** @type {Record<string, string>} */
export default {
  "app.skip": "Langsung ke isi",
  "app.waiting": "Menunggu realm",
  "app.waiting.hint": "Realm sedang tidak menjawab. Halaman ini lanjut dengan sendirinya setelah ada jawaban.",
  "app.not-shown": "Halaman ini tidak dapat ditampilkan",
  "app.not-shown.hint": "Mungkin sambungan terputus di tengah jalan. Tulisan Anda tidak hilang. Muat ulang halaman ini.",
  "app.ended": "Sesi Anda sudah berakhir; masuk lagi. Tulisan Anda tidak hilang.",
  "app.reload": "Muat ulang",

  "nav.label": "Utama",
  "nav.chats": "Obrolan",
  "nav.contacts": "Kontak",
  "nav.groups": "Grup",
  "nav.rooms": "Ruang",
  "nav.realms": "Realm",
  "nav.settings": "Setelan",
  "nav.files": "File",
  "nav.search": "Cari",
  "nav.new": "Obrolan baru",

  "link.again": "Menyambung lagi…",
  "link.kept": "Yang Anda kirim sementara ini disimpan dan terkirim dengan sendirinya.",
  "link.offline": "Anda sedang offline. Yang Anda kirim sementara ini disimpan dan terkirim dengan sendirinya.",
  "link.now": "Coba sekarang",

  "list.label": "Percakapan",
  "list.address": "Alamat Anda bagi orang di realm lain",
  "list.filter": "Tampilkan",
  "list.all": "Semua",
  "list.people": "Orang",
  "list.groups": "Grup",
  "list.realms": "Realm lain",
  "list.loading": "Mengambil percakapan Anda…",
  "list.you": "Anda",
  "list.queued": "Menunggu realm tujuannya:",
  "list.sending": "Belum terkirim:",
  "list.refused": "Tidak terkirim:",
  "list.deleted": "Pesan dihapus",
  "list.opaque": "Pesan terenkripsi",
  "list.members.one": "1 anggota, belum ada pesan",
  "list.members.other": "{n} anggota, belum ada pesan",
  "list.nothing": "Belum ada pesan",

  "home.label": "Selamat datang",
  "home.hello": "Halo, {name}",
  "home.hint": "Pilih percakapan di sebelah kiri, atau mulai yang baru. Ctrl K mencari di semua pesan.",

  "ui.back": "Kembali",
  "ui.loading": "Memuat…",
  "ui.offline": "offline",
  "ui.online": "online",
  "ui.unread.one": "1 belum dibaca",
  "ui.unread.other": "{n} belum dibaca",
  "ui.invited.other": "{n} undangan",
};
