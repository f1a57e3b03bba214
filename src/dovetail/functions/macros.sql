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
  list_extract(list_transform([MAP {
    'm': {k: 'length', f: 1.0e0, o: 0.0e0},
    'meter': {k: 'length', f: 1.0e0, o: 0.0e0},
    'metre': {k: 'length', f: 1.0e0, o: 0.0e0},
    'km': {k: 'length', f: 1000.0e0, o: 0.0e0},
    'cm': {k: 'length', f: 0.01e0, o: 0.0e0},
    'mm': {k: 'length', f: 0.001e0, o: 0.0e0},
    'um': {k: 'length', f: 1e-06, o: 0.0e0},
    'nm': {k: 'length', f: 1e-09, o: 0.0e0},
    'in': {k: 'length', f: 0.0254e0, o: 0.0e0},
    'inch': {k: 'length', f: 0.0254e0, o: 0.0e0},
    'ft': {k: 'length', f: 0.3048e0, o: 0.0e0},
    'foot': {k: 'length', f: 0.3048e0, o: 0.0e0},
    'feet': {k: 'length', f: 0.3048e0, o: 0.0e0},
    'yd': {k: 'length', f: 0.9144e0, o: 0.0e0},
    'yard': {k: 'length', f: 0.9144e0, o: 0.0e0},
    'mi': {k: 'length', f: 1609.344e0, o: 0.0e0},
    'mile': {k: 'length', f: 1609.344e0, o: 0.0e0},
    'nmi': {k: 'length', f: 1852.0e0, o: 0.0e0},
    'm2': {k: 'area', f: 1.0e0, o: 0.0e0},
    'km2': {k: 'area', f: 1000000.0e0, o: 0.0e0},
    'cm2': {k: 'area', f: 0.0001e0, o: 0.0e0},
    'mm2': {k: 'area', f: 1e-06, o: 0.0e0},
    'ha': {k: 'area', f: 10000.0e0, o: 0.0e0},
    'hectare': {k: 'area', f: 10000.0e0, o: 0.0e0},
    'acre': {k: 'area', f: 4046.8564224e0, o: 0.0e0},
    'ft2': {k: 'area', f: 0.09290304e0, o: 0.0e0},
    'in2': {k: 'area', f: 0.00064516e0, o: 0.0e0},
    'yd2': {k: 'area', f: 0.83612736e0, o: 0.0e0},
    'mi2': {k: 'area', f: 2589988.110336e0, o: 0.0e0},
    'm3': {k: 'volume', f: 1.0e0, o: 0.0e0},
    'l': {k: 'volume', f: 0.001e0, o: 0.0e0},
    'liter': {k: 'volume', f: 0.001e0, o: 0.0e0},
    'litre': {k: 'volume', f: 0.001e0, o: 0.0e0},
    'ml': {k: 'volume', f: 1e-06, o: 0.0e0},
    'cl': {k: 'volume', f: 1e-05, o: 0.0e0},
    'dl': {k: 'volume', f: 0.0001e0, o: 0.0e0},
    'cm3': {k: 'volume', f: 1e-06, o: 0.0e0},
    'ft3': {k: 'volume', f: 0.028316846592e0, o: 0.0e0},
    'in3': {k: 'volume', f: 1.6387064e-05, o: 0.0e0},
    'gal': {k: 'volume', f: 0.003785411784e0, o: 0.0e0},
    'gallon': {k: 'volume', f: 0.003785411784e0, o: 0.0e0},
    'qt': {k: 'volume', f: 0.000946352946e0, o: 0.0e0},
    'pt': {k: 'volume', f: 0.000473176473e0, o: 0.0e0},
    'cup': {k: 'volume', f: 0.0002365882365e0, o: 0.0e0},
    'floz': {k: 'volume', f: 2.95735295625e-05, o: 0.0e0},
    'gal_uk': {k: 'volume', f: 0.00454609e0, o: 0.0e0},
    'pt_uk': {k: 'volume', f: 0.00056826125e0, o: 0.0e0},
    'bbl': {k: 'volume', f: 0.158987294928e0, o: 0.0e0},
    'kg': {k: 'mass', f: 1.0e0, o: 0.0e0},
    'g': {k: 'mass', f: 0.001e0, o: 0.0e0},
    'gram': {k: 'mass', f: 0.001e0, o: 0.0e0},
    'mg': {k: 'mass', f: 1e-06, o: 0.0e0},
    'ug': {k: 'mass', f: 1e-09, o: 0.0e0},
    't': {k: 'mass', f: 1000.0e0, o: 0.0e0},
    'tonne': {k: 'mass', f: 1000.0e0, o: 0.0e0},
    'lb': {k: 'mass', f: 0.45359237e0, o: 0.0e0},
    'pound': {k: 'mass', f: 0.45359237e0, o: 0.0e0},
    'oz': {k: 'mass', f: 0.028349523125e0, o: 0.0e0},
    'ounce': {k: 'mass', f: 0.028349523125e0, o: 0.0e0},
    'st': {k: 'mass', f: 6.35029318e0, o: 0.0e0},
    'stone': {k: 'mass', f: 6.35029318e0, o: 0.0e0},
    'ton_us': {k: 'mass', f: 907.18474e0, o: 0.0e0},
    'ton_uk': {k: 'mass', f: 1016.0469088e0, o: 0.0e0},
    'ozt': {k: 'mass', f: 0.0311034768e0, o: 0.0e0},
    'ct': {k: 'mass', f: 0.0002e0, o: 0.0e0},
    'carat': {k: 'mass', f: 0.0002e0, o: 0.0e0},
    'k': {k: 'temperature', f: 1.0e0, o: 0.0e0},
    'kelvin': {k: 'temperature', f: 1.0e0, o: 0.0e0},
    'c': {k: 'temperature', f: 1.0e0, o: 273.15e0},
    'celsius': {k: 'temperature', f: 1.0e0, o: 273.15e0},
    'f': {k: 'temperature', f: (5.0/9)::DOUBLE, o: 459.67e0},
    'fahrenheit': {k: 'temperature', f: (5.0/9)::DOUBLE, o: 459.67e0},
    'm/s': {k: 'speed', f: 1.0e0, o: 0.0e0},
    'mps': {k: 'speed', f: 1.0e0, o: 0.0e0},
    'km/h': {k: 'speed', f: (1/3.6)::DOUBLE, o: 0.0e0},
    'kmh': {k: 'speed', f: (1/3.6)::DOUBLE, o: 0.0e0},
    'kph': {k: 'speed', f: (1/3.6)::DOUBLE, o: 0.0e0},
    'mph': {k: 'speed', f: 0.44704e0, o: 0.0e0},
    'mi/h': {k: 'speed', f: 0.44704e0, o: 0.0e0},
    'kn': {k: 'speed', f: (1852.0/3600)::DOUBLE, o: 0.0e0},
    'knot': {k: 'speed', f: (1852.0/3600)::DOUBLE, o: 0.0e0},
    'ft/s': {k: 'speed', f: 0.3048e0, o: 0.0e0},
    'fps': {k: 'speed', f: 0.3048e0, o: 0.0e0},
    's': {k: 'time', f: 1.0e0, o: 0.0e0},
    'sec': {k: 'time', f: 1.0e0, o: 0.0e0},
    'second': {k: 'time', f: 1.0e0, o: 0.0e0},
    'ms': {k: 'time', f: 0.001e0, o: 0.0e0},
    'millisecond': {k: 'time', f: 0.001e0, o: 0.0e0},
    'us': {k: 'time', f: 1e-06, o: 0.0e0},
    'microsecond': {k: 'time', f: 1e-06, o: 0.0e0},
    'ns': {k: 'time', f: 1e-09, o: 0.0e0},
    'nanosecond': {k: 'time', f: 1e-09, o: 0.0e0},
    'min': {k: 'time', f: 60.0e0, o: 0.0e0},
    'minute': {k: 'time', f: 60.0e0, o: 0.0e0},
    'h': {k: 'time', f: 3600.0e0, o: 0.0e0},
    'hr': {k: 'time', f: 3600.0e0, o: 0.0e0},
    'hour': {k: 'time', f: 3600.0e0, o: 0.0e0},
    'd': {k: 'time', f: 86400.0e0, o: 0.0e0},
    'day': {k: 'time', f: 86400.0e0, o: 0.0e0},
    'wk': {k: 'time', f: 604800.0e0, o: 0.0e0},
    'week': {k: 'time', f: 604800.0e0, o: 0.0e0},
    'pa': {k: 'pressure', f: 1.0e0, o: 0.0e0},
    'hpa': {k: 'pressure', f: 100.0e0, o: 0.0e0},
    'kpa': {k: 'pressure', f: 1000.0e0, o: 0.0e0},
    'mpa': {k: 'pressure', f: 1000000.0e0, o: 0.0e0},
    'bar': {k: 'pressure', f: 100000.0e0, o: 0.0e0},
    'mbar': {k: 'pressure', f: 100.0e0, o: 0.0e0},
    'atm': {k: 'pressure', f: 101325.0e0, o: 0.0e0},
    'psi': {k: 'pressure', f: 6894.757293168361e0, o: 0.0e0},
    'mmhg': {k: 'pressure', f: 133.322387415e0, o: 0.0e0},
    'torr': {k: 'pressure', f: (101325.0/760)::DOUBLE, o: 0.0e0},
    'inhg': {k: 'pressure', f: 3386.388640341e0, o: 0.0e0},
    'j': {k: 'energy', f: 1.0e0, o: 0.0e0},
    'joule': {k: 'energy', f: 1.0e0, o: 0.0e0},
    'kj': {k: 'energy', f: 1000.0e0, o: 0.0e0},
    'mj': {k: 'energy', f: 1000000.0e0, o: 0.0e0},
    'cal': {k: 'energy', f: 4.184e0, o: 0.0e0},
    'kcal': {k: 'energy', f: 4184.0e0, o: 0.0e0},
    'wh': {k: 'energy', f: 3600.0e0, o: 0.0e0},
    'kwh': {k: 'energy', f: 3600000.0e0, o: 0.0e0},
    'mwh': {k: 'energy', f: 3600000000.0e0, o: 0.0e0},
    'ev': {k: 'energy', f: 1.602176634e-19, o: 0.0e0},
    'btu': {k: 'energy', f: 1055.05585262e0, o: 0.0e0},
    'therm': {k: 'energy', f: 105505585.262e0, o: 0.0e0},
    'byte': {k: 'data size', f: 1.0e0, o: 0.0e0},
    'b': {k: 'data size', f: 1.0e0, o: 0.0e0},
    'bit': {k: 'data size', f: 0.125e0, o: 0.0e0},
    'kb': {k: 'data size', f: 1000.0e0, o: 0.0e0},
    'mb': {k: 'data size', f: 1000000.0e0, o: 0.0e0},
    'gb': {k: 'data size', f: 1000000000.0e0, o: 0.0e0},
    'tb': {k: 'data size', f: 1000000000000.0e0, o: 0.0e0},
    'pb': {k: 'data size', f: 1000000000000000.0e0, o: 0.0e0},
    'kib': {k: 'data size', f: 1024.0e0, o: 0.0e0},
    'mib': {k: 'data size', f: 1048576.0e0, o: 0.0e0},
    'gib': {k: 'data size', f: 1073741824.0e0, o: 0.0e0},
    'tib': {k: 'data size', f: 1099511627776.0e0, o: 0.0e0},
    'pib': {k: 'data size', f: 1125899906842624.0e0, o: 0.0e0}
  }], lambda dovetail_u: CASE
    WHEN x IS NULL OR unit IS NULL OR wanted IS NULL THEN NULL
    WHEN dovetail_u[lower(unit)] IS NULL THEN error('convert_unit: no unit "' || unit || '"')
    WHEN dovetail_u[lower(wanted)] IS NULL THEN error('convert_unit: no unit "' || wanted || '"')
    WHEN dovetail_u[lower(unit)].k <> dovetail_u[lower(wanted)].k
      THEN error('convert_unit: cannot convert ' || dovetail_u[lower(unit)].k || ' to '
        || dovetail_u[lower(wanted)].k || ' (' || unit || ' to ' || wanted || ')')
    ELSE (CAST(x AS DOUBLE) + dovetail_u[lower(unit)].o) * dovetail_u[lower(unit)].f
      / dovetail_u[lower(wanted)].f - dovetail_u[lower(wanted)].o
  END), 1);
