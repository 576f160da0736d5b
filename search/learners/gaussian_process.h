// Regression by a Gaussian process of mean 0 with a Matern 5/2 kernel of one length. Rasmussen and Williams,
// Gaussian Processes for Machine Learning, 2006: equations 2.23 to 2.26, 2.30 and 4.17.
#pragma once
#include <Eigen/Dense>

namespace thimble::search {

class GaussianProcess {
 public:
  struct Parameters {
    double variance = 1;  // of the function
    double length = 1;    // over which it changes
    double noise = 0.01;  // variance of a value about the function, beside what is known of each
  };

  // Points are columns, [dimensions, n]; `known`: each value's own variance, [n].
  GaussianProcess(Eigen::MatrixXd points, Eigen::VectorXd values, Eigen::VectorXd known,
                  const Parameters& parameters);
  // Those that make the values most likely, by the downhill simplex (Nelder and Mead, 1965) over their
  // logarithms from the points' median distance; for values of variance 1 about 0.
  static Parameters MostLikely(const Eigen::MatrixXd& points, const Eigen::VectorXd& values,
                               const Eigen::VectorXd& known);

  double LogLikelihood() const;
  // Mean and deviation of the function at the columns of `points`, [m].
  struct Posterior {
    Eigen::VectorXd mean, deviation;
  };
  Posterior At(const Eigen::MatrixXd& points) const;
  // The same, and how it changes where some of the points are taken for known: a value that is the
  // posterior's mean leaves all means as they are ("kriging believer"; Ginsbourger et al., 2010), and narrows
  // what is near.
  class Believer {
   public:
    Believer(const GaussianProcess& process, Eigen::MatrixXd points);
    const Posterior& posterior() const { return posterior_; }
    void Believe(int point);

   private:
    const Parameters parameters_;
    Eigen::MatrixXd points_;
    Eigen::MatrixXd solved_;  // L^-1 k(observed and believed, points)
    int rows_ = 0;
    Posterior posterior_;
  };

 private:
  Eigen::MatrixXd points_;
  Eigen::VectorXd values_;
  Parameters parameters_;
  Eigen::LLT<Eigen::MatrixXd> factor_;  // of the values' covariance
  Eigen::VectorXd weights_;             // its inverse times the values
};

// E[max(f - best, 0)] for a normal f. Jones et al., 1998, equation 15.
double ExpectedImprovement(double mean, double deviation, double best);

}  // namespace thimble::search
