//! The plot of the documentation.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::contender::{BURSTS, Contender};
use crate::pass::Mode;
use crate::report::Figures;

const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 90, 160),
    RGBColor(90, 170, 230),
    RGBColor(200, 80, 0),
    RGBColor(240, 160, 60),
    RGBColor(110, 110, 110),
];

/// Draws cycles a packet over packets a call, a panel for each of three modes.
pub(crate) fn draw(file: &Path, figures: &Figures, unit: &str) -> Result<()> {
    let area = SVGBackend::new(file, (1080, 400)).into_drawing_area();
    let drawn = area.fill(&WHITE).map_err(|error| anyhow!("{error}"));
    drawn?;
    for (panel, mode) in area
        .split_evenly((1, 3))
        .iter()
        .zip([Mode::Rx, Mode::Tx, Mode::Fwd])
    {
        self::panel(panel, mode, figures, unit).map_err(|error| anyhow!("{error}"))?;
    }
    area.present().map_err(|error| anyhow!("{error}"))
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    mode: Mode,
    figures: &Figures,
    unit: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let title = match mode {
        Mode::Rx => "receive",
        Mode::Tx => "send",
        _ => "forward",
    };
    let values = Contender::ALL.map(|contender| -> Vec<(f64, f64)> {
        let points = BURSTS.iter().filter_map(|burst| {
            let value = figures.cycles(contender, mode, *burst, 512)?;
            Some(((*burst as f64).log2(), value))
        });
        points.collect()
    });
    let most = values.iter().flatten().map(|(_, y)| *y).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..8.0, 0.0..most * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(9)
        .x_label_formatter(&|x: &f64| format!("{:.0}", x.exp2()))
        .x_desc("packets a call")
        .y_desc(format!("{unit} a packet"))
        .draw()?;
    for ((contender, points), colour) in Contender::ALL.iter().zip(&values).zip(COLOURS) {
        if points.is_empty() {
            continue;
        }
        chart
            .draw_series(
                LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3),
            )?
            .label(contender.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    if mode == Mode::Fwd {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE)
            .border_style(RGBColor(200, 200, 200))
            .draw()?;
    }
    Ok(())
}
