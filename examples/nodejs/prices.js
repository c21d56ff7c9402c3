// The functions that the example calls. A worker can load any module that exports functions.
"use strict";

// money formats an amount as is usual in a country.
exports.money = ({ amount, currency, locale }) =>
  new Intl.NumberFormat(locale, { style: "currency", currency }).format(amount);
