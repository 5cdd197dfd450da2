// @ts-check
/** Texts that all pages but the list of conversations need, in Indonesian. */

/** @type {Record<string, string>} */
export default {
  "app.said": "{name}: {text}",
  "app.said-in": "{name} di {group}: {text}",
  "app.in": "{name} di {group}",
  "app.file": "File {name}",
  "app.invited": "{name} mengundang Anda ke {group}",
  "app.invited.show": "Lihat",

  "out.unsent.title": "Tetap keluar?",
  "out.unsent.one": "Satu pesan belum terkirim. Pesan itu hilang jika Anda keluar.",
  "out.unsent.other": "{n} pesan belum terkirim. Semuanya hilang jika Anda keluar.",
  "out.anyway": "Keluar",

  "ui.cancel": "Batal",
  "ui.close": "Tutup",
  "ui.required": "{label} belum diisi.",
  "ui.save": "Simpan",
  "ui.show-password": "Tampilkan kata sandi",
  "ui.too-short.one": "Paling sedikit 1 karakter.",
  "ui.too-short.other": "Paling sedikit {n} karakter.",

  "error.link-lost": "Realm tidak dapat dihubungi. Coba lagi sebentar lagi.",
  "error.unexpected": "Ada yang salah di halaman ini. Muat ulang, lalu coba lagi.",
  "error.http": "Sesuatu di antara sini dan realm menolak. Coba lagi sebentar lagi.",
};
