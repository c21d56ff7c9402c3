// What the example calls. Any module with functions will do.
"use strict";

// money writes an amount as it is written in a country.
exports.money = ({ amount, currency, locale }) =>
  new Intl.NumberFormat(locale, { style: "currency", currency }).format(amount);
