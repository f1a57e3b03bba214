-- The macros of Dovetail. Each stands under its family and has:
--   name: what it does. Then one line for each example: > call = result as text.
-- A parameter with := may be left out. Names of parameters are replaced by the arguments as text in
-- parentheses, so that no name of a lambda may be one that a column could have.

-- family: Statistics

-- safe_divide: a divided by b; NULL where b is 0.
-- > safe_divide(7, 2) = 3.5
-- > safe_divide(7, 0) = NULL
CREATE MACRO safe_divide(a, b) AS
  a / nullif(b, 0);

-- percentile: The p-th percentile (0 to 100) of a group, interpolated.
-- > (select percentile(x, 95) from range(1, 101) t(x)) = 95.05
CREATE MACRO percentile(x, p) AS
  quantile_cont(x, p / 100.0);

-- iqr: The interquartile range of a group: its 75th percentile less its 25th.
-- > (select iqr(x) from range(1, 101) t(x)) = 49.5
CREATE MACRO iqr(x) AS
  quantile_cont(x, 0.75) - quantile_cont(x, 0.25);

-- cv: The coefficient of variation of a group: sample standard deviation over mean.
-- > (select round(cv(x), 6) from (values (1), (2), (3)) t(x)) = 0.5
CREATE MACRO cv(x) AS
  stddev_samp(x) / nullif(avg(x), 0);

-- zscore: How many sample standard deviations a value lies from the mean of the whole result.
-- > (select list(z order by x) from (select x, zscore(x) as z from (values (1), (2), (3)) t(x))) = [-1.0, 0.0, 1.0]
CREATE MACRO zscore(x) AS
  (x - avg(x) OVER ()) / nullif(stddev_samp(x) OVER (), 0);

-- width_bucket: The number, from 1, of the one of n equal buckets between lo and hi that holds x; 0 below, n + 1 from hi on.
-- > width_bucket(9.9, 0, 10, 5) = 5
-- > width_bucket(10, 0, 10, 5) = 6
CREATE MACRO width_bucket(x, lo, hi, n) AS
  CASE
    WHEN x IS NULL OR lo IS NULL OR hi IS NULL OR n IS NULL THEN NULL
    WHEN lo = hi OR n < 1 THEN error('width_bucket: lo and hi must differ and n be at least 1')
    WHEN (lo < hi AND x < lo) OR (lo > hi AND x > lo) THEN 0
    WHEN (lo < hi AND x >= hi) OR (lo > hi AND x <= hi) THEN CAST(n AS BIGINT) + 1
    ELSE least(CAST(floor((x - lo) * n / (hi - lo)) AS BIGINT) + 1, CAST(n AS BIGINT))
  END;

-- band: A label for the band that holds x, by the rising edges of the bands.
-- > band(24, [0, 25, 50, 75]) = 0-25
-- > band(99, [0, 25, 50, 75]) = >=75
-- > band(-1, [0, 25, 50, 75]) = <0
CREATE MACRO band(x, edges) AS
  CASE
    WHEN x IS NULL THEN NULL
    WHEN x < list_extract(edges, 1) THEN '<' || list_extract(edges, 1)
    WHEN x >= list_extract(edges, -1) THEN '>=' || list_extract(edges, -1)
    ELSE list_extract(edges, len(edges) + 1 - list_position(list_reverse_sort(list_append(edges, x)), x))
      || '-' || list_extract(edges, len(edges) + 2 - list_position(list_reverse_sort(list_append(edges, x)), x))
  END;

-- family: Finance

-- pct_change: The relative change from prev to cur (0.1 is ten per cent); NULL where prev is 0.
-- > round(pct_change(110, 100), 6) = 0.1
CREATE MACRO pct_change(cur, prev) AS
  cur / nullif(prev, 0) - 1;

-- log_return: The logarithmic return from prev to cur; NULL unless both are positive.
-- > round(log_return(110, 100), 6) = 0.09531
CREATE MACRO log_return(cur, prev) AS
  CASE WHEN cur > 0 AND prev > 0 THEN ln(cur / prev) END;

-- vwap: The average price of a group, weighted by volume; rows without price or volume do not count.
-- > (select vwap(p, q) from (values (10, 1), (20, 3)) t(p, q)) = 17.5
CREATE MACRO vwap(price, qty) AS
  sum(price * qty) / nullif(sum(CASE WHEN price IS NOT NULL THEN qty END), 0);

-- volatility: The sample standard deviation of the returns of a group, scaled to periods a year.
-- > (select round(volatility(r, 252), 6) from (values (0.01), (-0.02), (0.03)) t(r)) = 0.3995
CREATE MACRO volatility(r, periods := 252) AS
  stddev_samp(r) * sqrt(periods);

-- sharpe: The Sharpe ratio of the returns of a group; rf is the risk-free return of one period.
-- > (select round(sharpe(r, 0.001, 12), 6) from (values (0.01), (0.02), (0.03)) t(r)) = 6.581793
CREATE MACRO sharpe(r, rf := 0, periods := 252) AS
  (avg(r) - rf) / nullif(stddev_samp(r), 0) * sqrt(periods);

-- cagr: The yearly growth rate that leads from the first value to the last.
-- > round(cagr(100, 200, 5), 6) = 0.148698
CREATE MACRO cagr(first_value, last_value, years) AS
  CASE WHEN first_value > 0 AND last_value >= 0 AND years <> 0
    THEN pow(last_value / first_value, 1.0 / years) - 1 END;

-- pmt: The payment per period of a loan, with the signs of spreadsheets; due is 1 for the begin of a period.
-- > round(pmt(0.05/12, 360, 200000), 2) = -1073.64
CREATE MACRO pmt(rate, nper, present, future := 0, due := 0) AS
  CASE WHEN rate = 0 THEN -(present + future) / nper
    ELSE -rate * (present * pow(1 + rate, nper) + future)
      / ((1 + rate * due) * (pow(1 + rate, nper) - 1))
  END;

-- pv: What a series of equal payments is worth now, with the signs of spreadsheets.
-- > round(pv(0.05/12, 360, -1073.6432460242797), 2) = 200000.0
CREATE MACRO pv(rate, nper, payment, future := 0, due := 0) AS
  CASE WHEN rate = 0 THEN -(future + payment * nper)
    ELSE -(future + payment * (1 + rate * due) * (pow(1 + rate, nper) - 1) / rate)
      / pow(1 + rate, nper)
  END;

-- fv: What a series of equal payments will be worth, with the signs of spreadsheets.
-- > round(fv(0.05/12, 120, -100, 0), 2) = 15528.23
CREATE MACRO fv(rate, nper, payment, present := 0, due := 0) AS
  CASE WHEN rate = 0 THEN -(present + payment * nper)
    ELSE -(present * pow(1 + rate, nper)
      + payment * (1 + rate * due) * (pow(1 + rate, nper) - 1) / rate)
  END;

-- npv: The net present value of a list of flows, as spreadsheets count: the first flow is one period away. Add a flow of today to it.
-- > round(npv(0.1, [-1000, 500, 500, 500]), 4) = 221.2964
CREATE MACRO npv(rate, flows) AS
  list_sum(list_transform(flows, lambda dovetail_v, dovetail_i: dovetail_v / pow(1 + rate, dovetail_i)));

-- family: Text

-- initcap: Every word with a capital first letter and small ones after it.
-- > initcap('hello wORLD-of o''neil élan') = Hello World-Of O'Neil Élan
CREATE MACRO initcap(s) AS
  array_to_string(
    list_transform(
      regexp_extract_all(s, '[\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}]+'),
      lambda dovetail_w: upper(substring(dovetail_w, 1, 1)) || lower(substring(dovetail_w, 2))
    ),
    ''
  );

-- clean_text: The text without control characters and with single spaces between its words.
-- > clean_text('  a' || chr(9) || ' b' || chr(8203) || chr(7) || chr(10) || 'c ') = a b c
CREATE MACRO clean_text(s) AS
  trim(regexp_replace(
    regexp_replace(s, '[\x00-\x08\x0e-\x1f\x7f-\x9f\x{200b}\x{feff}]', '', 'g'),
    '[\s\p{Z}\x0b]+', ' ', 'g'
  ));

-- strip_punctuation: The text without its punctuation.
-- > strip_punctuation('Hi, "you" – (all)!') = Hi you  all
CREATE MACRO strip_punctuation(s) AS
  regexp_replace(s, '\p{P}', '', 'g');

-- word_count: How many words, separated by white space.
-- > word_count(' one two  three ') = 3
CREATE MACRO word_count(s) AS
  len(regexp_extract_all(s, '[^\s\p{Z}]+'));

-- substring_before: What stands before the first d; empty if there is none.
-- > substring_before('a=b=c', '=') = a
CREATE MACRO substring_before(s, d) AS
  CASE WHEN instr(s, d) = 0 THEN '' ELSE substring(s, 1, instr(s, d) - 1) END;

-- substring_after: What stands after the first d; empty if there is none.
-- > substring_after('a=b=c', '=') = b=c
CREATE MACRO substring_after(s, d) AS
  CASE WHEN instr(s, d) = 0 THEN '' ELSE substring(s, instr(s, d) + length(d)) END;

-- count_substring: How often d stands in s, without overlaps.
-- > count_substring('mississippi', 'ss') = 2
CREATE MACRO count_substring(s, d) AS
  (length(s) - length(replace(s, d, ''))) // nullif(length(d), 0);

-- to_snake_case: The words of a name in small letters with underscores between them.
-- > to_snake_case('HTTPResponse') = http_response
-- > to_snake_case('Net Sales 2026') = net_sales_2026
CREATE MACRO to_snake_case(s) AS
  lower(trim(regexp_replace(regexp_replace(regexp_replace(
    s, '(\p{Lu}+)(\p{Lu}\p{Ll})', '\1_\2', 'g'),
    '([\p{Ll}\p{N}])(\p{Lu})', '\1_\2', 'g'),
    '[^\p{L}\p{M}\p{N}]+', '_', 'g'), '_'));

-- family: Cleaning

-- is_integer: Whether a text is a whole number; false for NULL.
-- > is_integer(' -12 ') = true
-- > is_integer('1.5') = false
CREATE MACRO is_integer(s) AS
  coalesce(regexp_full_match(trim(CAST(s AS VARCHAR)), '[+-]?[0-9]+'), false);

-- is_numeric: Whether a text is a number; false for NULL.
-- > is_numeric('1e-3') = true
-- > is_numeric('1,5') = false
CREATE MACRO is_numeric(s) AS
  coalesce(regexp_full_match(
    trim(CAST(s AS VARCHAR)), '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?'), false);

-- is_date: Whether a text is a day of the calendar, as in 2026-01-05; false for NULL.
-- > is_date('2026-02-28') = true
-- > is_date('2026-02-30') = false
CREATE MACRO is_date(s) AS
  coalesce(regexp_full_match(trim(CAST(s AS VARCHAR)), '[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}')
    AND TRY_CAST(trim(CAST(s AS VARCHAR)) AS DATE) IS NOT NULL, false);

-- parse_number: A number as people write it: thousands commas, currency signs, %, accounting brackets; NULL if it is none.
-- > parse_number('$1,234.50') = 1234.5
-- > parse_number('(250)') = -250.0
-- > parse_number('12.5%') = 0.125
-- > parse_number('abc') = NULL
CREATE MACRO parse_number(s) AS
  CASE WHEN regexp_full_match(s, '\s*(\(\s*)?[+-]?\s*\p{Sc}?\s*[+-]?([0-9]{1,3}(,[0-9]{3})+|[0-9]+)?(\.[0-9]+|\.)?\s*\p{Sc}?\s*%?\s*(\))?\s*')
      AND contains(s, '(') = contains(s, ')')
    THEN TRY_CAST(regexp_replace(s, '[\p{Sc}\s,()%]', '', 'g') AS DOUBLE)
      * CASE WHEN contains(s, '(') THEN -1 ELSE 1 END
      / CASE WHEN contains(s, '%') THEN 100 ELSE 1 END
  END;

-- format_compact: A number in few characters, with K, M, B or T.
-- > format_compact(1234567) = 1.2M
-- > format_compact(950) = 950
CREATE MACRO format_compact(x) AS
  regexp_replace(
    CASE
      WHEN abs(x) >= 999950000000 THEN printf('%.1f', CAST(x AS DOUBLE) / 1e12) || 'T'
      WHEN abs(x) >= 999950000 THEN printf('%.1f', CAST(x AS DOUBLE) / 1e9) || 'B'
      WHEN abs(x) >= 999950 THEN printf('%.1f', CAST(x AS DOUBLE) / 1e6) || 'M'
      WHEN abs(x) >= 999.95 THEN printf('%.1f', CAST(x AS DOUBLE) / 1e3) || 'K'
      WHEN x IS NOT NULL THEN printf('%.1f', CAST(x AS DOUBLE))
    END, '\.0([KMBT]?)$', '\1');

-- ordinal: A whole number as 1st, 2nd, 3rd, 4th.
-- > ordinal(112) = 112th
-- > ordinal(23) = 23rd
CREATE MACRO ordinal(n) AS
  CAST(n AS VARCHAR) || CASE
    WHEN abs(n) % 100 BETWEEN 11 AND 13 THEN 'th'
    WHEN abs(n) % 10 = 1 THEN 'st'
    WHEN abs(n) % 10 = 2 THEN 'nd'
    WHEN abs(n) % 10 = 3 THEN 'rd'
    ELSE 'th'
  END;

-- family: Date

-- business_days: How many days from Monday to Friday there are from a up to, not including, b. No holidays.
-- > business_days('2026-01-01', '2026-01-12') = 7
CREATE MACRO business_days(a, b) AS
  (5 * (date_diff('day', DATE '0001-01-01', CAST(b AS DATE)) // 7)
      + least(date_diff('day', DATE '0001-01-01', CAST(b AS DATE)) % 7, 5))
    - (5 * (date_diff('day', DATE '0001-01-01', CAST(a AS DATE)) // 7)
      + least(date_diff('day', DATE '0001-01-01', CAST(a AS DATE)) % 7, 5));

-- fiscal_year: The fiscal year of a day, named after the calendar year in which it ends.
-- > fiscal_year(DATE '2026-04-01', 4) = 2027
CREATE MACRO fiscal_year(d, start_month) AS
  year(d) + CASE WHEN start_month > 1 AND month(d) >= start_month THEN 1 ELSE 0 END;

-- fiscal_quarter: The quarter, 1 to 4, of the fiscal year that begins with that month.
-- > fiscal_quarter(DATE '2026-04-01', 4) = 1
-- > fiscal_quarter(DATE '2026-03-31', 4) = 4
CREATE MACRO fiscal_quarter(d, start_month) AS
  ((month(d) - start_month + 12) % 12) // 3 + 1;

-- is_leap_year: Whether a year (a whole number) has 366 days.
-- > is_leap_year(2000) = true
-- > is_leap_year(2100) = false
CREATE MACRO is_leap_year(y) AS
  y % 4 = 0 AND (y % 100 <> 0 OR y % 400 = 0);

-- dateadd: A day n units (day, week, month, quarter, year) later; the last of the month where the day does not exist.
-- > dateadd('month', 1, '2024-01-31') = 2024-02-29
CREATE MACRO dateadd(unit, n, d) AS
  CASE
    WHEN CAST(CAST(d AS DATE) AS TIMESTAMP) <> CAST(d AS TIMESTAMP)
      THEN error('dateadd counts days; for a time of day write ts + INTERVAL 1 HOUR')
    ELSE CAST(CAST(d AS DATE) + CASE lower(unit)
      WHEN 'day' THEN to_days(CAST(n AS INTEGER))
      WHEN 'week' THEN to_days(CAST(n AS INTEGER) * 7)
      WHEN 'month' THEN to_months(CAST(n AS INTEGER))
      WHEN 'quarter' THEN to_months(CAST(n AS INTEGER) * 3)
      WHEN 'year' THEN to_years(CAST(n AS INTEGER))
      ELSE error('dateadd: no unit "' || unit || '"; the units are day, week, month, quarter, year')
    END AS DATE)
  END;

-- family: Conversion

-- convert_unit: x in another unit of length, area, volume, mass, temperature, speed, time, pressure, energy or data size.
-- > round(convert_unit(1, 'mi', 'km'), 6) = 1.609344
-- > round(convert_unit(100, 'c', 'f'), 6) = 212.0
-- > round(convert_unit(70, 'kg', 'lb'), 4) = 154.3236
CREATE MACRO convert_unit(x, unit, wanted) AS
  -- The table: name, kind, size in the unit of its kind, and what is added before.
  list_extract(list_transform(list_transform([regexp_split_to_array(trim('
    m:length:1:0 meter:length:1:0 metre:length:1:0 km:length:1000:0 cm:length:0.01:0
    mm:length:0.001:0 um:length:1e-06:0 nm:length:1e-09:0 in:length:0.0254:0
    inch:length:0.0254:0 ft:length:0.3048:0 foot:length:0.3048:0 feet:length:0.3048:0
    yd:length:0.9144:0 yard:length:0.9144:0 mi:length:1609.344:0 mile:length:1609.344:0
    nmi:length:1852:0 m2:area:1:0 km2:area:1000000:0 cm2:area:0.0001:0 mm2:area:1e-06:0
    ha:area:10000:0 hectare:area:10000:0 acre:area:4046.8564224:0 ft2:area:0.09290304:0
    in2:area:0.00064516:0 yd2:area:0.83612736:0 mi2:area:2589988.110336:0 m3:volume:1:0
    l:volume:0.001:0 liter:volume:0.001:0 litre:volume:0.001:0 ml:volume:1e-06:0
    cl:volume:1e-05:0 dl:volume:0.0001:0 cm3:volume:1e-06:0 ft3:volume:0.028316846592:0
    in3:volume:1.6387064e-05:0 gal:volume:0.003785411784:0 gallon:volume:0.003785411784:0
    qt:volume:0.000946352946:0 pt:volume:0.000473176473:0 cup:volume:0.0002365882365:0
    floz:volume:2.95735295625e-05:0 gal_uk:volume:0.00454609:0 pt_uk:volume:0.00056826125:0
    bbl:volume:0.158987294928:0 kg:mass:1:0 g:mass:0.001:0 gram:mass:0.001:0 mg:mass:1e-06:0
    ug:mass:1e-09:0 t:mass:1000:0 tonne:mass:1000:0 lb:mass:0.45359237:0 pound:mass:0.45359237:0
    oz:mass:0.028349523125:0 ounce:mass:0.028349523125:0 st:mass:6.35029318:0
    stone:mass:6.35029318:0 ton_us:mass:907.18474:0 ton_uk:mass:1016.0469088:0
    ozt:mass:0.0311034768:0 ct:mass:0.0002:0 carat:mass:0.0002:0 k:temperature:1:0
    kelvin:temperature:1:0 c:temperature:1:273.15 celsius:temperature:1:273.15
    f:temperature:0.5555555555555556:459.67 fahrenheit:temperature:0.5555555555555556:459.67
    m/s:speed:1:0 mps:speed:1:0 km/h:speed:0.2777777777777778:0 kmh:speed:0.2777777777777778:0
    kph:speed:0.2777777777777778:0 mph:speed:0.44704:0 mi/h:speed:0.44704:0
    kn:speed:0.5144444444444445:0 knot:speed:0.5144444444444445:0 ft/s:speed:0.3048:0
    fps:speed:0.3048:0 s:time:1:0 sec:time:1:0 second:time:1:0 ms:time:0.001:0
    millisecond:time:0.001:0 us:time:1e-06:0 microsecond:time:1e-06:0 ns:time:1e-09:0
    nanosecond:time:1e-09:0 min:time:60:0 minute:time:60:0 h:time:3600:0 hr:time:3600:0
    hour:time:3600:0 d:time:86400:0 day:time:86400:0 wk:time:604800:0 week:time:604800:0
    pa:pressure:1:0 hpa:pressure:100:0 kpa:pressure:1000:0 mpa:pressure:1000000:0
    bar:pressure:100000:0 mbar:pressure:100:0 atm:pressure:101325:0
    psi:pressure:6894.757293168361:0 mmhg:pressure:133.322387415:0
    torr:pressure:133.32236842105263:0 inhg:pressure:3386.388640341:0 j:energy:1:0
    joule:energy:1:0 kj:energy:1000:0 mj:energy:1000000:0 cal:energy:4.184:0 kcal:energy:4184:0
    wh:energy:3600:0 kwh:energy:3600000:0 mwh:energy:3600000000:0 ev:energy:1.602176634e-19:0
    btu:energy:1055.05585262:0 therm:energy:105505585.262:0 byte:data_size:1:0 b:data_size:1:0
    bit:data_size:0.125:0 kb:data_size:1000:0 mb:data_size:1000000:0 gb:data_size:1000000000:0
    tb:data_size:1000000000000:0 pb:data_size:1000000000000000.0:0 kib:data_size:1024:0
    mib:data_size:1048576:0 gib:data_size:1073741824:0 tib:data_size:1099511627776:0
    pib:data_size:1125899906842624.0:0
  '), '\s+')],
    lambda dovetail_t: {
      a: list_extract(list_filter(dovetail_t, lambda dovetail_e: starts_with(dovetail_e, lower(unit) || ':')), 1),
      b: list_extract(list_filter(dovetail_t, lambda dovetail_e: starts_with(dovetail_e, lower(wanted) || ':')), 1)
    }), lambda dovetail_u: CASE
    WHEN unit IS NULL OR wanted IS NULL THEN NULL
    WHEN dovetail_u.a IS NULL THEN error('convert_unit: no unit "' || unit || '"')
    WHEN dovetail_u.b IS NULL THEN error('convert_unit: no unit "' || wanted || '"')
    WHEN split_part(dovetail_u.a, ':', 2) <> split_part(dovetail_u.b, ':', 2)
      THEN error('convert_unit: cannot convert ' || split_part(dovetail_u.a, ':', 2) || ' to '
        || split_part(dovetail_u.b, ':', 2) || ' (' || unit || ' to ' || wanted || ')')
    ELSE (CAST(x AS DOUBLE) + CAST(split_part(dovetail_u.a, ':', 4) AS DOUBLE))
      * CAST(split_part(dovetail_u.a, ':', 3) AS DOUBLE)
      / CAST(split_part(dovetail_u.b, ':', 3) AS DOUBLE)
      - CAST(split_part(dovetail_u.b, ':', 4) AS DOUBLE)
  END), 1);
