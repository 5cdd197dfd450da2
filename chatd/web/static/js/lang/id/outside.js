// @ts-check
/** The texts of the login and registration pages, in Indonesian. */

/** @type {Record<string, string>} */
export default {
  "login.title": "Masuk",
  "login.intro": "Selamat datang di {realm}.",
  "login.username": "Username",
  "login.password": "Kata sandi",
  "login.submit": "Masuk",
  "login.new": "Baru di sini?",
  "login.register": "Buat akun",
  "login.closed": "Realm ini tidak menerima akun baru. Jika perlu, mintalah kepada operatornya.",

  "register.title": "Buat akun",
  "register.intro": "Cukup nama dan kata sandi. Anda langsung masuk.",
  "register.username.hint": "Nama yang dipakai orang untuk menulis kepada Anda. Huruf, angka, titik, garis bawah, dan tanda hubung.",
  "register.username.bad": "Pakai huruf, angka, titik, garis bawah, dan tanda hubung saja, tanpa spasi.",
  "register.password.hint.one": "Paling sedikit 1 karakter.",
  "register.password.hint.other": "Paling sedikit {n} karakter. Beberapa kata lebih baik daripada satu.",
  "register.name": "Nama Anda (opsional)",
  "register.name.hint": "Yang dilihat orang lain di daftarnya.",
  "register.country": "Negara (opsional)",
  "register.submit": "Buat akun",
  "register.known": "Sudah punya akun?",
  "register.login": "Masuk",
  "register.closed": "Tidak ada akun baru di sini",
  "register.closed.hint": "Realm ini tertutup bagi orang baru. Mintalah akun kepada operatornya.",
};
